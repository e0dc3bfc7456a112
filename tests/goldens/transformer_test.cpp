// One forward pass of the transformer, block by block, against Diffusers' own.
#include <gtest/gtest.h>

#include <algorithm>

#include "ops/tracing_ops.h"
#include "transformer_golden.h"

namespace flux2::golden {
namespace {

// Keeps what linear_add_gated multiplies with the gate: the attention outputs of the goldens.
class ProductTracingOps final : public ObservedOps {
 public:
  using ObservedOps::ObservedOps;

  void linear_add_gated(const Tensor& x, const Weight& weight, const Tensor& gate,
                        const Tensor& residual) override {
    const Tensor product = inner().empty(residual.shape(), Role::stream);
    inner().linear(x, weight, product);
    products.push_back(inner().download(product));
    inner().add_gated(product, gate, residual);
  }

  std::vector<Tensor> products;

 private:
  void observe(const OpCall&, const std::function<void()>& run) override { run(); }
};

using Parameter = std::tuple<std::string, Backend>;

std::string name_of_case(const testing::TestParamInfo<Parameter>& info) {
  std::string name = std::get<0>(info.param) + "_" + std::get<1>(info.param).name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

class TransformerForward : public testing::TestWithParam<Parameter> {
 protected:
  std::string checkpoint() const { return std::get<0>(GetParam()); }
  std::unique_ptr<Ops> make_ops() const { return std::get<1>(GetParam()).make(); }
  GoldenFile golden() const { return GoldenFile("transformer/" + checkpoint() + ".safetensors"); }
  Transformer load(Ops& ops) const {
    return load_transformer(checkpoint(), transformer_config(checkpoint()), ops);
  }
};

TEST_P(TransformerForward, EveryStage) {
  const std::unique_ptr<Ops> backend = make_ops();
  const GoldenFile file = golden();
  TracingOps ops(*backend);
  const Transformer model = load(ops);
  velocity(ops, model, Forward(file, ""));
  for (const auto& [name, trace] : ops.traces()) {
    ASSERT_TRUE(file.has(name)) << name;
    EXPECT_LT(relative_error(trace, file.tensor(name)), kTolerance) << name;
  }
  const TransformerConfig& config = model.config();
  EXPECT_EQ(ops.traces().size(),
            static_cast<std::size_t>(8 + 2 * config.double_blocks + config.single_blocks));
}

TEST_P(TransformerForward, AttentionOutputs) {
  const std::unique_ptr<Ops> backend = make_ops();
  const GoldenFile file = golden();
  ProductTracingOps ops(*backend);
  const Transformer model = load(ops);
  velocity(ops, model, Forward(file, ""));
  // In each double block: text attention and MLP, then image attention and MLP.
  EXPECT_LT(relative_error(ops.products.at(0), file.tensor("double0.attn_txt")), kTolerance);
  EXPECT_LT(relative_error(ops.products.at(2), file.tensor("double0.attn_img")), kTolerance);
  const auto first_single = static_cast<std::size_t>(4 * model.config().double_blocks);
  EXPECT_LT(relative_error(ops.products.at(first_single), file.tensor("single0.attn")), kTolerance);
}

// Splitting the image tokens into latents and references must not change anything.
TEST_P(TransformerForward, ReferencesAreMoreTokens) {
  const std::unique_ptr<Ops> ops = make_ops();
  const GoldenFile file = golden();
  const Transformer model = load(*ops);
  const Forward in(file, "");
  constexpr std::int64_t kLatentTokens = 24;
  Conditioning conditioning =
      model.condition(*ops, in.inputs_with_trailing_references(kLatentTokens));
  const Tensor v = ops->download(model.velocity(
      *ops, conditioning, in.latents.slice(1, 0, kLatentTokens), in.timesteps, in.guidance));
  EXPECT_LT(relative_error(v, file.tensor("output").slice(1, 0, kLatentTokens)), kTolerance);
}

TEST_P(TransformerForward, RotaryTables) {
  const std::unique_ptr<Ops> ops = make_ops();
  const GoldenFile file = golden();
  const Forward in(file, "");
  std::vector<Position> positions = in.txt_positions;
  positions.insert(positions.end(), in.img_positions.begin(), in.img_positions.end());
  const RopeTable rope = make_rope(*ops, transformer_config(checkpoint()), positions);
  for (const auto& [name, table] : {std::pair{"rope_cos", rope.cos}, {"rope_sin", rope.sin}}) {
    const Tensor expected = file.tensor(name);
    const Tensor ours = ops->download(table);
    for (std::int64_t row = 0; row < expected.dim(0); ++row) {
      for (std::int64_t i = 0; i < expected.dim(1); ++i) {  // Diffusers repeats each value
        ASSERT_EQ(expected.f32()[row * expected.stride(0) + i],
                  ours.f32()[row * ours.stride(0) + i / 2]);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Goldens, TransformerForward,
                         testing::Combine(testing::Values("tiny-klein", "tiny-klein-base",
                                                          "tiny-dev", "tiny-klein-kv", "head128"),
                                          testing::ValuesIn(float_backends())),
                         name_of_case);

class KleinKv : public testing::TestWithParam<Backend> {};

TEST_P(KleinKv, ExtractThenReuse) {
  const std::unique_ptr<Ops> ops = GetParam().make();
  const GoldenFile file("transformer/tiny-klein-kv.kv.safetensors");
  const Transformer model =
      load_transformer("tiny-klein-kv", transformer_config("tiny-klein-kv"), *ops);
  const Forward first(file, "extract.");
  constexpr std::int64_t kReferences = 6;  // in front of the latents
  Conditioning conditioning =
      model.condition(*ops, first.inputs_with_leading_references(kReferences));
  const Tensor latents = first.latents.slice(1, kReferences, first.latents.dim(1) - kReferences);
  const Tensor extracted =
      ops->download(model.velocity(*ops, conditioning, latents, first.timesteps, first.guidance));
  EXPECT_LT(relative_error(extracted, file.tensor("extract.output")), kTolerance);

  const char* blocks[] = {"double0", "single0", "single1"};
  ASSERT_EQ(conditioning.cache.size(), std::size(blocks));
  for (std::size_t i = 0; i < std::size(blocks); ++i) {
    const std::string name = std::string("cache.") + blocks[i];
    const ReferenceKv& kv = conditioning.cache[i];
    EXPECT_LT(relative_error(ops->download(kv.k), file.tensor(name + ".k")), kTolerance) << name;
    EXPECT_LT(relative_error(ops->download(kv.v), file.tensor(name + ".v")), kTolerance) << name;
  }

  const Forward second(file, "cached.");
  const Tensor reused = ops->download(
      model.velocity(*ops, conditioning, second.latents, second.timesteps, second.guidance));
  EXPECT_LT(relative_error(reused, file.tensor("cached.output")), kTolerance);
}

INSTANTIATE_TEST_SUITE_P(Goldens, KleinKv, testing::ValuesIn(float_backends()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace flux2::golden
