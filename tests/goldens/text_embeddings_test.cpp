// Prompt embeddings and hidden states against transformers' own.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "golden.h"
#include "text_model.h"

namespace flux2::golden {
namespace {

struct Case {
  std::string checkpoint;
  std::vector<std::int64_t> taps;
};

const Case kKlein = {"tiny-klein", {9, 18, 27}};
const Case kKleinBase = {"tiny-klein-base", {9, 18, 27}};
const Case kKleinKv = {"tiny-klein-kv", {9, 18, 27}};
const Case kDev = {"tiny-dev", {10, 20, 30}};

void PrintTo(const Case& value, std::ostream* out) {
  *out << value.checkpoint;
}

using Parameter = std::tuple<Case, Backend>;

std::string name_of_case(const testing::TestParamInfo<Parameter>& info) {
  std::string name = std::get<0>(info.param).checkpoint + "_" + std::get<1>(info.param).name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

class TextEmbeddings : public testing::TestWithParam<Parameter> {
 protected:
  const Case& golden_case() const { return std::get<0>(GetParam()); }
  std::unique_ptr<Ops> make_ops() const { return std::get<1>(GetParam()).make(); }
  GoldenFile golden() const {
    return GoldenFile("text/" + golden_case().checkpoint + ".safetensors");
  }
};

// Padding widens a text to `length` on the side where it already is.
TokenBatch widen(const TokenBatch& text, std::int64_t length) {
  TokenBatch wide = text;
  const std::int64_t added = length - text.length;
  const bool left = text.real[0].begin > 0;
  wide.ids.insert(left ? wide.ids.begin() : wide.ids.end(), static_cast<std::size_t>(added),
                  left ? text.ids.front() : text.ids.back());
  if (left) wide.real[0] = {text.real[0].begin + added, text.real[0].end + added};
  wide.length = length;
  return wide;
}

// Goldens stored as float16 are compared after the same rounding.
Tensor rounded_to_f16(const Tensor& x) {
  Tensor result = make_host_tensor(x.shape());
  const std::vector<float> values = to_vector(x);
  for (std::size_t i = 0; i < values.size(); ++i)
    result.f32()[i] = half_to_float(float_to_half(values[i]));
  return result;
}

TEST_P(TextEmbeddings, BatchOfPrompts) {
  const GoldenFile file = golden();
  TextModel text(make_ops(), golden_case().checkpoint, {.taps = golden_case().taps});
  const std::vector<std::string> names = {"prompt0", "prompt1", "prompt2"};

  const Tensor states =
      text.decoder().hidden_states(text.ops(), read_batch(file, names), golden_case().taps);
  const Tensor embeds = text.ops().download(states);
  for (std::int64_t b = 0; b < 3; ++b) {
    const std::string name = names[static_cast<std::size_t>(b)] + ".embeds";
    EXPECT_LT(relative_error(embeds[b], file.tensor(name)), kTolerance) << name;
  }
}

TEST_P(TextEmbeddings, FullLength) {
  const GoldenFile file = golden();
  TextModel text(make_ops(), golden_case().checkpoint, {.taps = golden_case().taps});
  const TokenBatch batch = widen(read_batch(file, {"prompt0"}), 512);
  const Tensor embeds =
      text.ops().download(text.decoder().hidden_states(text.ops(), batch, golden_case().taps));

  const Tensor every8 = embeds.view({64, 8 * embeds.dim(2)}).slice(1, 0, embeds.dim(2));
  EXPECT_LT(relative_error(rounded_to_f16(every8), file.tensor("prompt0.embeds512_every8")), 1e-4);

  const Tensor norms = make_host_tensor({512});
  for (std::int64_t row = 0; row < 512; ++row) {
    const std::vector<float> values = to_vector(embeds[0][row]);
    norms.f32()[row] = static_cast<float>(
        std::sqrt(std::inner_product(values.begin(), values.end(), values.begin(), 0.0)));
  }
  EXPECT_LT(relative_error(norms, file.tensor("prompt0.embeds512_row_norms")), kTolerance);
}

INSTANTIATE_TEST_SUITE_P(Goldens, TextEmbeddings,
                         testing::Combine(testing::Values(kKlein, kKleinBase, kKleinKv, kDev),
                                          testing::ValuesIn(float_backends())),
                         name_of_case);

class TextLayers : public TextEmbeddings {};

TEST_P(TextLayers, EveryHiddenStateAndTheScores) {
  const GoldenFile file = golden();
  TextModel text(make_ops(), golden_case().checkpoint,
                 {.taps = {}, .generation = DecoderUse::Generation::yes});
  Ops& ops = text.ops();
  std::vector<std::int64_t> taps(static_cast<std::size_t>(text.decoder().loaded_layers()) + 1);
  std::iota(taps.begin(), taps.end(), 0);

  const Tensor states = text.decoder().hidden_states(ops, read_batch(file, {"layers"}), taps);
  const std::int64_t width = text.decoder().config().block.width;
  const Tensor all = ops.download(states)[0];
  for (const std::int64_t k : taps) {
    const std::string name = "layers." + std::to_string(k);
    ASSERT_TRUE(file.has(name));
    EXPECT_LT(relative_error(all.slice(1, k * width, width), file.tensor(name)), kTolerance)
        << name;
  }
  EXPECT_FALSE(file.has("layers." + std::to_string(taps.size())));

  const Tensor last = states.slice(1, states.dim(1) - 1, 1).slice(2, taps.back() * width, width);
  const Tensor scores = ops.download(text.decoder().logits(ops, last));
  EXPECT_LT(relative_error(scores, file.tensor("layers.logits_last")), kTolerance);
}

INSTANTIATE_TEST_SUITE_P(Goldens, TextLayers,
                         testing::Combine(testing::Values(kKlein, kDev),
                                          testing::ValuesIn(float_backends())),
                         name_of_case);

}  // namespace
}  // namespace flux2::golden
