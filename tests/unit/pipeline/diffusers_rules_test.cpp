// How the four pipelines of Diffusers behave, rule by rule, where no golden shows it already.
//
//   what                                         which test holds it
//   -------------------------------------------  ----------------------------------------------
//   defaults of each family                      Call.DefaultsOfEachFamily, Call.FolderDefaultsWin
//   sizes are floored to 16, with a warning      Call.SizesAreFlooredWithAWarning, Rules.Sizes
//   prompt or prompt_embeds, not both            Call.RefusesBadPromptsAndCounts, Refusals.*
//   guidance without effect is a warning         Call.SaysWhatHasNoEffect, Rules.WhoIsGuided
//   checks of an inpainting request              InpaintRequest.*, Refusals.*
//   all pictures of a prompt come together       Rules.OrderOfABatch;
//   e2e/dev-two-prompts-two-images given embeddings are repeated Rules.GivenEmbeddingsAreRepeated
//   references condition every sample            Rules.ReferencesConditionEverySample
//   one seed, or one a picture                   Refusals.*; e2e/klein-generator-list
//   latents: shape, size, not scaled             Call.LatentsDecideTheSize; e2e/*-latents
//   the first reference sets an open size        Call.FirstReferenceSetsWhatIsOpen
//   references: checks, area, crop               reference_test.cpp; InpaintRequest.References...
//   places of references: 10, 20, ...            unit_diffusion; e2e/*-two-references
//   no references at all                         Rules.AnEmptyListIsNoReference
//   guidance: embedded, by negative text, none   Rules.WhoIsGuided; e2e/base-*, dev-*
//   negative text: "", embeds, fewer rows        NegativePrompt.*, Rules.NegativeRows
//   schedule, sigmas, mu                         unit_diffusion; e2e/*-sigmas*, Call.StepsOf...
//   callback: when, what it may change           Pipeline.CallbackMayChange*,
//   Rules.CallbackTimesteps interrupt                                    Calls.Interrupted output
//   types                                 Calls.*, Rules.PixelsOfWhatIsPutBack rewriting prompts
//   Upsampling.*; goldens caption KV: extract, reuse, no references            e2e/kv-*;
//   Calls.AttentionMaskOfKv inpainting: size of the picture InpaintRequest.ThePictureSetsTheSize,
//   Rules.LargePictures inpainting: latents for pixels               goldens InpaintCase;
//   Calls.SeveralPicturesToPaintOver inpainting: the picture is reference 10      goldens
//   InpaintCase; Rules.JointTokens inpainting: one reference a sample Calls.AReferencePerSample
//   inpainting: strength                         InpaintRequest.Strength*, InpaintFamily.*
//   inpainting: batches of pictures and masks    Calls.SeveralPicturesToPaintOver, Rules.SharesOut*
//   inpainting: the crop's way back              e2e/inpaint-crop*
//   errors                                       Refusals.*
//
// Positional order, tensors by name and Python's types are the package's: bindings/python/tests.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "flux2/flux2.h"
#include "pipeline/call.h"

namespace flux2 {
namespace {

std::string checkpoint(const std::string& name) {
  return std::string(FLUX2_SOURCE_DIR) + "/tests/goldens/data/checkpoints/" + name;
}

const ModelFolder& folder(const std::string& name) {
  static std::map<std::string, ModelFolder> opened;
  const auto found = opened.find(name);
  if (found != opened.end()) return found->second;
  return opened.emplace(name, ModelFolder::open(checkpoint(name))).first->second;
}

const Pipeline& base() {
  static const Pipeline pipeline =
      Pipeline::load(checkpoint("tiny-klein-base"), {.compute = Compute::f32, .threads = 1});
  return pipeline;
}

Image picture(int width, int height, int factor = 37) {
  Image image;
  image.width = width;
  image.height = height;
  for (int i = 0; i < width * height * 3; ++i)
    image.pixels.push_back(static_cast<std::uint8_t>(i * factor % 251));
  return image;
}

FloatArray zeros(std::vector<std::int64_t> shape) {
  std::int64_t count = 1;
  for (const std::int64_t dim : shape)
    count *= dim;
  return {std::move(shape), std::vector<float>(static_cast<std::size_t>(count)), ""};
}

Request request(std::vector<std::string> prompts = {"a cat"}) {
  Request r;
  r.prompt = std::move(prompts);
  r.width = r.height = 32;
  r.num_inference_steps = 1;
  r.guidance_scale = 1.0;
  r.max_sequence_length = 16;
  r.seeds = {5};
  return r;
}

Request painting() {
  Request r = request();
  r.width.reset();
  r.height.reset();
  r.num_inference_steps = 4;
  r.inpaint.emplace();
  r.inpaint->image = {picture(48, 32)};
  r.inpaint->mask_image = {picture(48, 32, 41)};
  return r;
}

std::vector<float> latents(const Request& r) {
  return base().generate(r, {.output = Output::latents}).latents.values;
}

// The latents of picture `index` of `count`.
std::vector<float> part(const std::vector<float>& all, std::size_t index, std::size_t count) {
  const std::size_t size = all.size() / count;
  const auto begin = all.begin() + static_cast<std::ptrdiff_t>(index * size);
  return {begin, begin + static_cast<std::ptrdiff_t>(size)};
}

void expect_close(const std::vector<float>& a, const std::vector<float>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i)
    ASSERT_NEAR(a[i], b[i], 1e-4) << i;
}

TEST(Rules, Sizes) {
  Request r = request();
  r.width = r.height = 1000;
  const Call call = resolve(r, folder("tiny-klein"));
  EXPECT_EQ(call.width(), 992);
  EXPECT_EQ(call.height(), 992);
  EXPECT_EQ(call.warnings.size(), 2u);
}

TEST(Rules, OrderOfABatch) {
  Request r = request({"a cat", "a dog"});
  r.num_images_per_prompt = 2;
  r.seeds = {1, 2, 3, 4};
  const std::vector<float> batch = latents(r);
  for (std::size_t i = 0; i < 4; ++i) {
    Request alone = request({r.prompt[i / 2]});
    alone.seeds = {r.seeds[i]};
    expect_close(part(batch, i, 4), latents(alone));
  }
}

TEST(Rules, GivenEmbeddingsAreRepeated) {
  Request r = request({"a cat", "a dog"});
  r.num_images_per_prompt = 2;
  const Result first = base().generate(r, {.output = Output::latents});
  EXPECT_EQ(first.prompt_embeds.shape[0], 2);
  r.prompt.clear();
  r.prompt_embeds = first.prompt_embeds;
  EXPECT_EQ(latents(r), first.latents.values);
}

TEST(Rules, ReferencesConditionEverySample) {
  Request r = request({"a cat", "a dog"});
  r.seeds = {1, 2};
  r.image = {picture(64, 64), picture(80, 64, 41)};
  const std::vector<float> batch = latents(r);
  for (std::size_t i = 0; i < 2; ++i) {
    Request alone = r;
    alone.prompt = {r.prompt[i]};
    alone.seeds = {r.seeds[i]};
    expect_close(part(batch, i, 2), latents(alone));
  }
}

TEST(Rules, ReferencesPerSampleAreThoseOfEachAlone) {
  Request r = request({"a cat", "a dog"});
  r.num_images_per_prompt = 2;
  r.seeds = {1, 2, 3, 4};
  r.image = {picture(64, 64)};
  r.image_per_sample = {{picture(64, 80, 41)}, {picture(64, 80, 43)}};  // one a prompt
  const std::vector<float> batch = latents(r);
  for (std::size_t i = 0; i < 4; ++i) {
    Request alone = request({r.prompt[i / 2]});
    alone.seeds = {r.seeds[i]};
    alone.image = {r.image[0], r.image_per_sample[i / 2][0]};
    expect_close(part(batch, i, 4), latents(alone));
  }
}

TEST(Rules, ReferencesAsLatents) {
  Request r = request();
  r.image = {picture(64, 64)};
  const std::vector<float> by_picture = latents(r);
  const FloatArray mean = base().encode_image(model_pixels(r.image[0])).mean;  // [1, 32, 8, 8]
  FloatArray patches = zeros({1, 128, 4, 4});
  for (std::size_t c = 0; c < 128; ++c) {
    for (std::size_t i = 0; i < 16; ++i) {
      const std::size_t y = 2 * (i / 4) + c % 4 / 2;
      const std::size_t x = 2 * (i % 4) + c % 2;
      patches.values[c * 16 + i] = mean.values[(c / 4 * 8 + y) * 8 + x];
    }
  }
  r.image.clear();
  r.image_latents = {patches};
  expect_close(latents(r), by_picture);
  r.width.reset();
  r.height.reset();
  EXPECT_EQ(resolve(r, folder("tiny-klein")).width(), 64);
}

TEST(Rules, AnEmptyListIsNoReference) {
  Request r = request();
  r.image.clear();
  r.image_per_sample = {{}};
  EXPECT_EQ(latents(r), latents(request()));
}

TEST(Rules, WhoIsGuided) {
  struct Case {
    const char* model;
    double scale;
    bool guided;
    std::size_t warnings;
  };
  for (const Case& c :
       {Case{"tiny-klein-base", 1.0, false, 0}, Case{"tiny-klein-base", 1.01, true, 0},
        Case{"tiny-klein-base", 0.0, false, 0}, Case{"tiny-klein", 4.0, false, 1},
        Case{"tiny-klein-kv", 4.0, false, 1}, Case{"tiny-dev", 4.0, false, 0}}) {
    Request r = request();
    r.guidance_scale = c.scale;
    const Call call = resolve(r, folder(c.model));
    EXPECT_EQ(call.classifier_free, c.guided) << c.model << " " << c.scale;
    EXPECT_EQ(call.warnings.size(), c.warnings) << c.model << " " << c.scale;
  }
}

TEST(Rules, NegativeRows) {
  Request r = request({"a cat", "a dog"});
  r.guidance_scale = 3.0;
  r.num_images_per_prompt = 2;
  const std::vector<float> by_text = latents(r);
  Request nothing = request({""});
  const FloatArray empty =
      base().generate(nothing, {.output = Output::prompt_embeds}).prompt_embeds;
  r.negative_prompt_embeds = empty;  // one row for all
  expect_close(latents(r), by_text);
  FloatArray twice = empty;
  twice.shape[0] = 2;
  twice.values.insert(twice.values.end(), empty.values.begin(), empty.values.end());
  r.negative_prompt_embeds = twice;
  expect_close(latents(r), by_text);

  // Embeddings without negative ones: the one empty prompt, also for several pictures each.
  r.negative_prompt_embeds.reset();
  r.prompt_embeds = base().generate(r, {.output = Output::prompt_embeds}).prompt_embeds;
  r.prompt.clear();
  expect_close(latents(r), by_text);
}

TEST(Rules, CallbackTimesteps) {
  Request r = request();
  r.sigmas = {1.0, 0.5};
  r.num_inference_steps = 2;
  const Schedule schedule = resolve(r, folder("tiny-klein-base")).schedule;
  std::vector<double> seen;
  RunOptions options = {.output = Output::latents};
  options.callback_on_step_end = [&](StepState& state) { seen.push_back(state.timestep); };
  base().generate(r, options);
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_FLOAT_EQ(static_cast<float>(seen[0]), 1000.0F);
  EXPECT_FLOAT_EQ(static_cast<float>(seen[1]), schedule.sigmas[1] * 1000);
}

TEST(Rules, LargePictures) {
  Request r = painting();
  r.inpaint->image = {picture(2000, 1000)};
  const Call call = resolve(r, folder("tiny-klein"));
  // sqrt(1024^2 / 2e6) = 0.72408: 1448 x 724, floored to multiples of 16
  EXPECT_EQ(call.width(), 1440);
  EXPECT_EQ(call.height(), 720);
}

TEST(Rules, JointTokens) {
  Request r = painting();
  r.image = {picture(64, 64), picture(64, 80)};
  const Call call = resolve(r, folder("tiny-klein"));
  EXPECT_EQ(call.joint_tokens(), 16 + 6 + 6 + 16 + 20);  // text, latents, picture, references
}

TEST(Rules, SharesOutPicturesAndMasks) {
  Request r = painting();
  r.num_images_per_prompt = 6;
  r.inpaint->image = {picture(48, 32), picture(64, 64)};
  r.inpaint->mask_image = {picture(48, 32, 41), picture(9, 9, 43), picture(48, 32, 47)};
  const Call call = resolve(r, folder("tiny-klein"));
  ASSERT_EQ(call.inpaint.size(), 6u);
  for (std::int64_t b = 0; b < 6; ++b) {
    EXPECT_EQ(call.plan_of(b).source, static_cast<std::size_t>(b % 2));
    EXPECT_EQ(call.plan_of(b).picture.width, 48);  // that of the first
  }
  EXPECT_EQ(call.inpaint[0].mask, call.inpaint[3].mask);
  EXPECT_NE(call.inpaint[0].mask, call.inpaint[1].mask);
}

TEST(Rules, EachPictureIsKeptByItself) {
  Request r = painting();
  r.prompt = {"a cat", "a dog"};
  r.inpaint->image = {picture(50, 40), picture(70, 60, 41)};
  Image black = picture(8, 8);
  std::fill(black.pixels.begin(), black.pixels.end(), 0);
  r.inpaint->mask_image = {black};
  r.inpaint->keep_unmasked = true;
  const Result result = base().generate(r);
  ASSERT_EQ(result.images.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i)
    EXPECT_EQ(result.images[i].pixels, r.inpaint->image[i].pixels);
  EXPECT_EQ(result.warnings.size(), 1u);  // that nothing is painted: once
}

TEST(Rules, PixelsOfWhatIsPutBack) {
  for (const bool keep : {false, true}) {
    Request r = painting();
    r.inpaint->keep_unmasked = keep;
    if (!keep) r.inpaint->padding_mask_crop = 2;
    EXPECT_THROW(base().generate(r, {.output = Output::pixels}), Error);
  }
  const Result result = base().generate(painting(), {.output = Output::pixels});
  EXPECT_EQ(result.pixels.shape, (std::vector<std::int64_t>{1, 32, 48, 3}));
}

}  // namespace
}  // namespace flux2
