// Rewritten prompts and negative prompts.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "flux2/pipeline.h"
#include "pipeline/call.h"

namespace flux2 {
namespace {

std::string checkpoint(const std::string& name) {
  return std::string(FLUX2_SOURCE_DIR) + "/tests/goldens/data/checkpoints/" + name;
}

Request small_request() {
  Request r;
  r.prompt = {"a cat"};
  r.width = r.height = 32;
  r.num_inference_steps = 1;
  r.seeds = {1};
  r.max_sequence_length = 32;
  return r;
}

Image gray_picture(int width, int height) {
  Image image;
  image.width = width;
  image.height = height;
  image.pixels.assign(static_cast<std::size_t>(width * height * 3), 90);
  return image;
}

const Pipeline& klein_base() {
  static const Pipeline pipeline =
      Pipeline::load(checkpoint("tiny-klein-base"), {.compute = Compute::f32, .threads = 1});
  return pipeline;
}

void expect_refused(const Request& request, const std::string& argument) {
  try {
    resolve(request, ModelFolder::open(checkpoint("tiny-klein-base")));
    ADD_FAILURE() << "accepted, though " << argument << " is wrong";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_request) << error.what();
    EXPECT_EQ(error.where(), argument) << error.what();
  }
}

TEST(Upsampling, RefusesWhatCannotBeRewritten) {
  for (const double temperature : {-0.1, 1e9, std::nan("")}) {
    Request r = small_request();
    r.caption_upsample_temperature = temperature;
    expect_refused(r, "caption_upsample_temperature");
  }
  Request r = small_request();
  r.prompt.clear();
  r.prompt_embeds = FloatArray{{1, 2, 144}, std::vector<float>(288), ""};
  r.prompt_embeds->shape[2] = ModelFolder::open(checkpoint("tiny-klein-base")).transformer.text_dim;
  r.prompt_embeds->values.resize(static_cast<std::size_t>(2 * r.prompt_embeds->shape[2]));
  r.caption_upsample_temperature = 0.15;
  expect_refused(r, "caption_upsample_temperature");
}

TEST(Upsampling, SaysThatKleinSeesNoPictures) {
  Request r = small_request();
  r.caption_upsample_temperature = 0.15;
  r.image = {gray_picture(64, 64)};
  EXPECT_EQ(resolve(r, ModelFolder::open(checkpoint("tiny-klein"))).warnings.size(), 1u);
  EXPECT_TRUE(resolve(r, ModelFolder::open(checkpoint("tiny-dev"))).warnings.empty());
}

TEST(Upsampling, DrawsASeedBesideLatents) {
  Request r = small_request();
  r.seeds.clear();
  r.latents = FloatArray{{1, 128, 2, 2}, std::vector<float>(512), ""};
  const ModelFolder model = ModelFolder::open(checkpoint("tiny-klein"));
  EXPECT_TRUE(resolve(r, model).request.seeds.empty());
  r.caption_upsample_temperature = 0.15;
  EXPECT_EQ(resolve(r, model).request.seeds.size(), 1u);
}

TEST(Upsampling, KleinRewritesEachPromptBySeed) {
  Request r = small_request();
  r.prompt = {"a cat", "a dog"};
  r.guidance_scale = 1.0;
  r.caption_upsample_temperature = 1.0;
  std::int64_t tokens = 0;
  RunOptions options;
  options.output = Output::latents;
  options.progress = [&](const Progress& progress) {
    if (progress.stage != Stage::upsample) return;
    EXPECT_LE(progress.done - tokens, 1);
    tokens = progress.done;
  };
  const Result first = klein_base().generate(r, options);
  ASSERT_EQ(first.rewritten_prompts.size(), 2u);
  EXPECT_NE(first.rewritten_prompts[0], first.rewritten_prompts[1]);
  EXPECT_GT(tokens, 0);
  EXPECT_EQ(first.request.prompt, r.prompt);  // what was asked for stays on record
  tokens = 0;
  EXPECT_EQ(klein_base().generate(r, options).rewritten_prompts, first.rewritten_prompts);

  // The picture is that of the rewritten prompts.
  Request direct = r;
  direct.caption_upsample_temperature.reset();
  direct.prompt = first.rewritten_prompts;
  EXPECT_EQ(klein_base().generate(direct, options).latents.values, first.latents.values);

  r.seeds = {2};
  tokens = 0;
  EXPECT_NE(klein_base().generate(r, options).rewritten_prompts, first.rewritten_prompts);
}

TEST(Upsampling, StopsBetweenTokens) {
  Request r = small_request();
  r.caption_upsample_temperature = 1.0;
  std::stop_source source;
  RunOptions options;
  options.stop = source.get_token();
  std::int64_t tokens = 0;
  options.progress = [&](const Progress& progress) {
    if (progress.stage != Stage::upsample) return;
    tokens = progress.done;
    if (tokens == 3) source.request_stop();
  };
  EXPECT_THROW(klein_base().generate(r, options), Error);
  EXPECT_EQ(tokens, 3);
}

TEST(Upsampling, IsWrittenIntoThePicture) {
  Result result;
  result.request = small_request();
  result.request.prompt = {"a", "b"};
  result.request.guidance_scale = 1.0;
  result.rewritten_prompts = {"a fine a", "a fine b"};
  ModelInfo model;
  EXPECT_NE(describe(result, model, 1).at("flux2").find("\"rewritten_prompt\":\"a fine b\""),
            std::string::npos);
}

TEST(NegativePrompt, RefusesContradictions) {
  Request r = small_request();
  r.negative_prompt = {"blur", "noise", "text"};
  expect_refused(r, "negative_prompt");
  const auto width = ModelFolder::open(checkpoint("tiny-klein-base")).transformer.text_dim;
  r.negative_prompt = {"blur"};
  r.negative_prompt_embeds =
      FloatArray{{1, 1, width}, std::vector<float>(static_cast<std::size_t>(width)), ""};
  expect_refused(r, "negative_prompt");
}

TEST(NegativePrompt, HasNoEffectWithoutGuidance) {
  Request r = small_request();
  r.negative_prompt = {"blur"};
  EXPECT_EQ(resolve(r, ModelFolder::open(checkpoint("tiny-klein"))).warnings.size(), 1u);
  EXPECT_TRUE(resolve(r, ModelFolder::open(checkpoint("tiny-klein-base"))).warnings.empty());
}

TEST(NegativePrompt, LeadsAway) {
  const RunOptions options = {.output = Output::latents};
  Request r = small_request();
  r.prompt = {"a cat", "a dog"};
  const std::vector<float> plain = klein_base().generate(r, options).latents.values;
  r.negative_prompt = {""};
  EXPECT_EQ(klein_base().generate(r, options).latents.values, plain);
  r.negative_prompt = {"blur"};
  const std::vector<float> one = klein_base().generate(r, options).latents.values;
  EXPECT_NE(one, plain);
  r.negative_prompt = {"blur", "blur"};
  EXPECT_EQ(klein_base().generate(r, options).latents.values, one);
  r.negative_prompt = {"blur", ""};
  const std::vector<float> two = klein_base().generate(r, options).latents.values;
  const std::size_t half = two.size() / 2;
  EXPECT_TRUE(
      std::equal(two.begin(), two.begin() + static_cast<std::ptrdiff_t>(half), one.begin()));
  EXPECT_TRUE(std::equal(two.begin() + static_cast<std::ptrdiff_t>(half), two.end(),
                         plain.begin() + static_cast<std::ptrdiff_t>(half)));
}

}  // namespace
}  // namespace flux2
