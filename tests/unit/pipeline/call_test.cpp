// What a request becomes, and what is refused.
#include "pipeline/call.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace flux2 {
namespace {

ModelFolder checkpoint(const std::string& name) {
  return ModelFolder::open(std::string(FLUX2_SOURCE_DIR) + "/tests/goldens/data/checkpoints/" +
                           name);
}

const ModelFolder& klein() {
  static const ModelFolder model = checkpoint("tiny-klein");
  return model;
}

Request prompt(const std::string& text = "a cat") {
  Request request;
  request.prompt = {text};
  return request;
}

Image picture(int width, int height) {
  Image image;
  image.width = width;
  image.height = height;
  image.pixels.assign(static_cast<std::size_t>(width * height * 3), 100);
  return image;
}

// Expects `request` to be refused because of `argument`.
void expect_refused(const Request& request, const std::string& argument,
                    const ModelFolder& model = klein()) {
  try {
    resolve(request, model);
    ADD_FAILURE() << "accepted, though " << argument << " is wrong";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_request) << error.what();
    EXPECT_EQ(error.where(), argument) << error.what();
  }
}

TEST(Call, DefaultsOfEachFamily) {
  struct Expected {
    const char* checkpoint;
    Family family;
    int steps;
    double guidance;
    std::vector<int> layers;
  };
  for (const Expected& e : {Expected{"tiny-dev", Family::dev, 50, 4.0, {10, 20, 30}},
                            Expected{"tiny-klein", Family::klein, 4, 1.0, {9, 18, 27}},
                            Expected{"tiny-klein-base", Family::klein_base, 50, 4.0, {9, 18, 27}},
                            Expected{"tiny-klein-kv", Family::klein_kv, 4, 1.0, {9, 18, 27}}}) {
    const ModelFolder model = checkpoint(e.checkpoint);
    const Call call = resolve(prompt(), model);
    EXPECT_EQ(model.traits->family, e.family);
    EXPECT_EQ(call.request.num_inference_steps, e.steps);
    EXPECT_EQ(call.request.guidance_scale, e.guidance);
    EXPECT_EQ(call.request.text_encoder_out_layers, e.layers);
    EXPECT_EQ(call.request.max_sequence_length, 512);
    EXPECT_EQ(call.width(), 1024);
    EXPECT_EQ(call.schedule.steps(), e.steps);
    EXPECT_EQ(call.request.seeds.size(), 1u);
    EXPECT_EQ(call.classifier_free, e.family == Family::klein_base);
    EXPECT_TRUE(call.warnings.empty());
  }
}

TEST(Call, FolderDefaultsWin) {
  const ModelFolder nano = ModelFolder::open(std::string(FLUX2_SOURCE_DIR) + "/models/nano");
  const Call call = resolve(prompt(), nano);
  EXPECT_EQ(call.width(), 128);
  EXPECT_EQ(call.request.num_inference_steps, 25);
  EXPECT_EQ(call.request.guidance_scale, 3.5);
  EXPECT_EQ(call.request.max_sequence_length, 48);
  EXPECT_EQ(nano.name, "nano");
}

TEST(Call, SizesAreFlooredWithAWarning) {
  Request request = prompt();
  request.width = 90;
  request.height = 75;
  const Call call = resolve(request, klein());
  EXPECT_EQ(call.width(), 80);
  EXPECT_EQ(call.height(), 64);
  EXPECT_EQ(call.warnings.size(), 2u);
}

TEST(Call, FirstReferenceSetsWhatIsOpen) {
  Request request = prompt();
  request.image = {picture(100, 70), picture(64, 200)};
  request.height = 0;  // counts as none, as in Diffusers
  Call call = resolve(request, klein());
  EXPECT_EQ(call.width(), 96);
  EXPECT_EQ(call.height(), 64);
  ASSERT_EQ(call.references.shared.size(), 2u);
  EXPECT_EQ(call.references.shared[1].height, 192);

  request.height = 256;
  call = resolve(request, klein());
  EXPECT_EQ(call.width(), 96);
  EXPECT_EQ(call.height(), 256);
}

TEST(Call, StepsOfCustomSigmasOnlyShiftThem) {
  Request request = prompt();
  request.sigmas = {1.0, 0.5};
  const Call call = resolve(request, klein());
  EXPECT_EQ(call.schedule.steps(), 2);
  EXPECT_EQ(call.request.num_inference_steps, 50);  // Diffusers' signature
}

TEST(Call, LatentsDecideTheSize) {
  Request request = prompt();
  request.latents = FloatArray{{1, 128, 4, 6}, std::vector<float>(128 * 24, 0.5f), ""};
  Call call = resolve(request, klein());
  EXPECT_EQ(call.width(), 96);
  EXPECT_EQ(call.height(), 64);
  EXPECT_TRUE(call.request.seeds.empty());

  request.width = 64;  // klein would scatter them
  expect_refused(request, "latents");
  call = resolve(request, checkpoint("tiny-dev"));
  EXPECT_EQ(call.width(), 96);
  EXPECT_EQ(call.warnings.size(), 1u);
}

TEST(Call, RefusesBadPromptsAndCounts) {
  expect_refused({}, "prompt");
  Request request = prompt();
  request.prompt_embeds = FloatArray{{1, 2, 120}, std::vector<float>(240), ""};
  expect_refused(request, "prompt");
  request = prompt();
  request.num_images_per_prompt = 0;
  expect_refused(request, "num_images_per_prompt");
  request = prompt();
  request.num_images_per_prompt = 3;
  request.seeds = {1, 2};
  expect_refused(request, "seed");
  request = prompt();
  request.max_sequence_length = 0;
  expect_refused(request, "max_sequence_length");
  request = prompt();
  request.text_encoder_out_layers = {9, -1, 27};
  expect_refused(request, "text_encoder_out_layers");
}

TEST(Call, RefusesBadSizesAndSteps) {
  for (const int pixels : {-16, 15, 20000, std::numeric_limits<int>::max()}) {
    Request request = prompt();
    request.width = pixels;
    expect_refused(request, "width");
  }
  Request request = prompt();
  request.num_inference_steps = 0;
  expect_refused(request, "num_inference_steps");
  request = prompt();
  request.guidance_scale = std::nan("");
  expect_refused(request, "guidance_scale");
}

TEST(Call, RefusesArraysThatDoNotFit) {
  Request request = prompt();
  request.latents = FloatArray{{1, 64, 4, 4}, std::vector<float>(64 * 16), ""};
  expect_refused(request, "latents");
  request.latents = FloatArray{{1, 128, 4, 4}, std::vector<float>(7), ""};
  expect_refused(request, "latents");
  request.latents = FloatArray{{1, 128, 0, 4}, {}, ""};
  expect_refused(request, "latents");
  request.latents = FloatArray{{1, 128, 1, 1}, std::vector<float>(128, std::nanf("")), ""};
  expect_refused(request, "latents");

  request = {};
  request.prompt_embeds = FloatArray{{1, 2, 8}, std::vector<float>(16), ""};
  expect_refused(request, "prompt_embeds");
  request.prompt_embeds = FloatArray{{3, 2, 120}, std::vector<float>(720), ""};
  request.negative_prompt_embeds = FloatArray{{2, 2, 120}, std::vector<float>(480), ""};
  expect_refused(request, "negative_prompt_embeds");
}

TEST(Call, SaysWhatHasNoEffect) {
  Request request = prompt();
  request.guidance_scale = 9.0;
  request.negative_prompt_embeds = FloatArray{{1, 2, 120}, std::vector<float>(240), ""};
  EXPECT_EQ(resolve(request, klein()).warnings.size(), 2u);
}

TEST(Family, OtherPipelinesAreNamed) {
  try {
    family_of({.class_name = "StableDiffusionXLPipeline", .is_distilled = {}, .components = {}},
              "model_index.json");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("StableDiffusionXLPipeline"), std::string::npos);
  }
}

}  // namespace
}  // namespace flux2
