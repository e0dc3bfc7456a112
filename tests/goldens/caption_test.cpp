// Prompt upsampling from a prompt and picture files to the rewritten text, against Diffusers'
// upsample_prompt with greedy decoding.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "golden.h"
#include "models/mistral3/mistral3.h"
#include "pipeline/upsample_stage.h"
#include "text_model.h"

namespace flux2::golden {
namespace {

using Json = nlohmann::json;

// One 8-bit level, of the narrowest channel.
constexpr double kLevel = 1.0 / 255 / 0.26130258;
// What that does to features: torchvision's bicubic filter rounds otherwise than Pillow's.
constexpr double kFeatureTolerance = 2e-3;
constexpr double kMostOther = 0.005;  // of all values

// A call of the caption golden NAME, up to the model.
class Caption {
 public:
  explicit Caption(const std::string& name)
      : file("caption/" + name + ".safetensors"),
        json(Json::parse(std::ifstream(data_path("caption/" + name + ".json")))),
        model(ModelFolder::open(data_path("checkpoints/tiny-dev"))),
        call(resolve(request(), model)),
        backend(make_backend({.compute = Compute::f32})),
        parts(model, backend, PipelineOptions::Residency::keep),
        monitor(options) {
    // Put in behind the checks: one golden picture is too small for the VAE to see.
    for (const Json& picture : json["images"])
      call.request.image.push_back(load_image(where(picture)));
  }

  StageContext context() { return {{model, parts, *backend.ops, monitor}, call}; }
  std::string prompt() const { return json["prompt"]; }
  std::string where(const std::string& picture) const {
    return data_path("caption/" + picture).string();
  }

  GoldenFile file;
  Json json;
  ModelFolder model;
  Call call;
  flux2::Backend backend;
  Parts parts;
  RunOptions options;
  Monitor monitor;

 private:
  Request request() const {
    Request r;
    r.prompt = {json["prompt"]};
    r.seeds = {1};
    r.caption_upsample_temperature = 0.0;
    return r;
  }
};

class CaptionCase : public testing::TestWithParam<const char*> {};

TEST_P(CaptionCase, ConversationAndPixels) {
  Caption caption(GetParam());
  const UpsamplingPrompt prompt = upsampling_prompt(caption.context(), caption.prompt());
  EXPECT_EQ(prompt.ids, caption.json["ids"].get<std::vector<std::int32_t>>());
  const bool sparse = caption.file.has("pixel_values_every16");
  if (!sparse && !caption.file.has("pixel_values")) {
    EXPECT_TRUE(prompt.pictures.empty());
    return;
  }
  ASSERT_EQ(prompt.pictures.size(), 1u);
  const Tensor& actual = prompt.pictures[0];
  const Tensor expected = caption.file.tensor(sparse ? "pixel_values_every16" : "pixel_values");
  const std::int64_t stride = sparse ? 16 : 1;
  ASSERT_EQ((actual.dim(1) + stride - 1) / stride, expected.dim(2));
  ASSERT_EQ((actual.dim(2) + stride - 1) / stride, expected.dim(3));
  std::int64_t other = 0;
  for (std::int64_t i = 0; i < expected.elements(); ++i) {
    const std::int64_t x = i % expected.dim(3);
    const std::int64_t y = i / expected.dim(3) % expected.dim(2);
    const std::int64_t c = i / (expected.dim(3) * expected.dim(2));
    const std::int64_t at = 3 * (y * stride * actual.dim(2) + x * stride) + c;
    const double distance = std::abs(double{actual.f32()[at]} - double{expected.f32()[i]});
    EXPECT_LE(distance, 1.01 * kLevel) << x << " " << y << " " << c;
    other += distance > 1e-5 ? 1 : 0;
  }
  EXPECT_LE(static_cast<double>(other), kMostOther * static_cast<double>(expected.elements()));
}

TEST_P(CaptionCase, WhatTheModelSees) {
  Caption caption(GetParam());
  if (!caption.file.has("projector.output")) return;  // no picture
  const UpsamplingPrompt prompt = upsampling_prompt(caption.context(), caption.prompt());
  TextModel text(std::move(make_backend({.compute = Compute::f32}).ops), "tiny-dev",
                 {.taps = {}, .generation = DecoderUse::Generation::yes});
  const auto& mistral = dynamic_cast<const Mistral3&>(text.model());
  const Tensor features =
      text.ops().download(mistral.embed_picture(text.ops(), prompt.pictures[0]));
  EXPECT_LE(relative_error(features, caption.file.tensor("projector.output")), kFeatureTolerance);
}

TEST_P(CaptionCase, GreedyContinuation) {
  Caption caption(GetParam());
  const auto expected = caption.json["generated"].get<std::vector<std::int32_t>>();
  const Tensor logits = caption.file.tensor("logits")[0];
  std::vector<std::int32_t> tokens;
  const std::string text = upsample_prompt(
      caption.context(), caption.prompt(),
      {.max_new_tokens = static_cast<std::int64_t>(expected.size()),
       .sampling = {},
       .stop_tokens = {},
       .on_token = [&](std::int32_t token, std::span<const float> scores) {
         const auto step = static_cast<std::int64_t>(tokens.size());
         tokens.push_back(token);
         if (step >= logits.dim(0)) return;  // a large picture keeps the first only
         EXPECT_LE(relative_error(make_host_tensor({logits.dim(1)}, scores), logits[step]),
                   kFeatureTolerance)
             << "token " << step;
       }});
  EXPECT_EQ(tokens, expected);
  EXPECT_EQ(text, caption.json["text"].get<std::string>());
}

INSTANTIATE_TEST_SUITE_P(Goldens, CaptionCase,
                         testing::Values("no-image", "one-image", "two-images", "large-image"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace flux2::golden
