// Prompt upsampling against transformers' generate: vision tower, projector, greedy decoding.
#include <gtest/gtest.h>

#include "golden.h"
#include "models/language/generation.h"
#include "models/mistral3/mistral3.h"
#include "ops/tracing_ops.h"
#include "text_model.h"

namespace flux2::golden {
namespace {

const DecoderUse kGeneration = {.taps = {}, .generation = DecoderUse::Generation::yes};

class TextGeneration : public testing::TestWithParam<Backend> {};

// [1, C, H, W] as torch has it, to [1, H, W, C].
Tensor channels_last(const Tensor& picture) {
  const std::int64_t channels = picture.dim(1);
  const std::int64_t pixels = picture.dim(2) * picture.dim(3);
  Tensor result = make_host_tensor({1, picture.dim(2), picture.dim(3), channels});
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::int64_t i = 0; i < pixels; ++i)
      result.f32()[i * channels + c] = picture.f32()[c * pixels + i];
  }
  return result;
}

// Continues the golden prompt greedily and holds every token and score to the golden.
void expect_continuation(TextModel& text, const GoldenFile& file,
                         const std::vector<Tensor>& pictures) {
  const Tensor expected = file.tensor("logits")[0];
  std::vector<std::int32_t> tokens;
  const auto on_token = [&](std::int32_t token, std::span<const float> scores) {
    const auto step = static_cast<std::int64_t>(tokens.size());
    ASSERT_LT(step, expected.dim(0));
    tokens.push_back(token);
    const Tensor actual = make_host_tensor({expected.dim(1)}, scores);
    EXPECT_LT(relative_error(actual, expected[step]), kTolerance) << "token " << step;
  };

  const std::vector<std::int32_t> ids = to_ids(file.integers("ids"));
  const Tensor prompt = text.model().embed_prompt(text.ops(), ids, pictures);
  const std::vector<std::int32_t> generated =
      generate(text.ops(), text.decoder(), prompt,
               {.max_new_tokens = 24, .sampling = {}, .stop_tokens = {2}, .on_token = on_token});
  EXPECT_EQ(generated, to_ids(file.integers("generated")));
  EXPECT_EQ(tokens, generated);
}

TEST_P(TextGeneration, WithoutPicture) {
  TextModel text(GetParam().make(), "tiny-dev", kGeneration);
  expect_continuation(text, GoldenFile("caption/no-image.safetensors"), {});
}

TEST_P(TextGeneration, WithPicture) {
  const GoldenFile file("caption/one-image.safetensors");
  TextModel text(GetParam().make(), "tiny-dev", kGeneration);
  expect_continuation(text, file, {channels_last(file.tensor("pixel_values"))});
}

TEST_P(TextGeneration, EveryStageOfThePicture) {
  const GoldenFile file("caption/one-image.safetensors");
  TextModel text(GetParam().make(), "tiny-dev", kGeneration);
  const auto& mistral = dynamic_cast<const Mistral3&>(text.model());
  TracingOps ops(text.ops());
  mistral.embed_picture(ops, channels_last(file.tensor("pixel_values")));

  EXPECT_LT(relative_error(ops.trace("vision.patch_conv"),
                           channels_last(file.tensor("vision.patch_conv"))),
            kTolerance);
  for (const char* name : {"vision.ln_pre", "vision.layer0", "vision.output", "projector.norm",
                           "projector.merged", "projector.output"})
    EXPECT_LT(relative_error(ops.trace(name), file.tensor(name)), kTolerance) << name;
}

INSTANTIATE_TEST_SUITE_P(Goldens, TextGeneration, testing::ValuesIn(float_backends()),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace flux2::golden
