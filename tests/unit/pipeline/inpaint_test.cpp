// Painting over a picture: what is refused, what is kept, and that every family can.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "flux2/pipeline.h"
#include "pipeline/call.h"
#include "pipeline/request_json.h"

namespace flux2 {
namespace {

std::string checkpoint(const std::string& name) {
  return std::string(FLUX2_SOURCE_DIR) + "/tests/goldens/data/checkpoints/" + name;
}

const ModelFolder& klein() {
  static const ModelFolder model = ModelFolder::open(checkpoint("tiny-klein"));
  return model;
}

// A picture in which no two neighbours are equal.
Image picture(int width, int height) {
  Image image;
  image.width = width;
  image.height = height;
  for (int i = 0; i < width * height * 3; ++i)
    image.pixels.push_back(static_cast<std::uint8_t>(i * 37 % 251));
  return image;
}

// White in the right half.
Image half_mask(int width, int height) {
  Image mask;
  mask.width = width;
  mask.height = height;
  mask.format = PixelFormat::gray;
  for (int i = 0; i < width * height; ++i)
    mask.pixels.push_back(i % width >= width / 2 ? 255 : 0);
  return mask;
}

Request request(int width = 96, int height = 64) {
  Request r;
  r.prompt = {"a cat"};
  r.num_inference_steps = 2;
  r.seeds = {5};
  r.max_sequence_length = 24;
  r.inpaint.emplace();
  r.inpaint->image = {picture(width, height)};
  r.inpaint->mask_image = {half_mask(width, height)};
  return r;
}

void expect_refused(const Request& request, const std::string& argument) {
  try {
    resolve(request, klein());
    ADD_FAILURE() << "accepted, though " << argument << " is wrong";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_request) << error.what();
    EXPECT_EQ(error.where(), argument) << error.what();
  }
}

std::size_t index(const Image& image, int x, int y, int channel) {
  return static_cast<std::size_t>((y * image.width + x) * 3 + channel);
}

// How many pixel values of columns [from, to) are those of `original`, moved by (dx, dy).
int equal_values(const Image& image, const Image& original, int from, int to, int dx = 0,
                 int dy = 0) {
  int equal = 0;
  for (int y = 0; y < original.height; ++y) {
    for (int x = from; x < to; ++x) {
      for (int c = 0; c < 3; ++c)
        equal += image.pixels[index(image, x + dx, y + dy, c)] ==
                         original.pixels[index(original, x, y, c)]
                     ? 1
                     : 0;
    }
  }
  return equal;
}

TEST(InpaintRequest, Strength) {
  for (const double strength : {-0.1, 1.5, std::nan("")}) {
    Request r = request();
    r.inpaint->strength = strength;
    expect_refused(r, "strength");
  }
  Request r = request();
  r.inpaint->strength = 0.0;  // no step is left
  EXPECT_THROW(resolve(r, klein()), Error);
  r.inpaint->strength = 0.1;  // one is, as in Diffusers
  r.num_inference_steps = 4;
  EXPECT_EQ(resolve(r, klein()).schedule.steps(), 1);
  r.inpaint->strength.reset();
  r.num_inference_steps = 10;
  const Call call = resolve(r, klein());
  EXPECT_EQ(call.schedule.steps(), 8);
  EXPECT_EQ(call.schedule.sigmas.size(), 9u);
  EXPECT_EQ(call.request.inpaint->strength, 0.8);
  EXPECT_EQ(call.request.num_inference_steps, 10);
}

TEST(InpaintRequest, StrengthCountsCustomSigmas) {
  Request r = request();
  r.num_inference_steps.reset();
  r.sigmas = {1.0, 0.8, 0.6, 0.4, 0.2};
  r.inpaint->strength = 0.6;
  EXPECT_EQ(resolve(r, klein()).schedule.steps(), 3);
}

TEST(InpaintRequest, PicturesAndMasks) {
  Request r = request();
  r.inpaint->image.clear();
  expect_refused(r, "inpaint");
  r = request();
  r.inpaint->image.front().pixels.pop_back();
  expect_refused(r, "inpaint");
  r = request();
  r.inpaint->mask_image.front().pixels.pop_back();
  expect_refused(r, "mask");
  r = request(15, 64);  // under one token
  EXPECT_THROW(resolve(r, klein()), Error);
}

TEST(InpaintRequest, Crop) {
  Request r = request();
  r.inpaint->padding_mask_crop = -1;
  expect_refused(r, "padding_mask_crop");
  r.inpaint->padding_mask_crop = 8;
  r.inpaint->mask_image.clear();
  expect_refused(r, "padding_mask_crop");
  r = request();
  r.inpaint->padding_mask_crop = 8;
  std::fill(r.inpaint->mask_image.front().pixels.begin(),
            r.inpaint->mask_image.front().pixels.end(), 0);
  EXPECT_THROW(resolve(r, klein()), Error);
}

TEST(InpaintRequest, Latents) {
  Request r = request();
  r.inpaint->image_latents = FloatArray{{1, 128, 4, 6}, std::vector<float>(128 * 24), ""};
  expect_refused(r, "image");
  r.inpaint->image.clear();
  const Call call = resolve(r, klein());
  EXPECT_EQ(call.width(), 96);
  EXPECT_EQ(call.height(), 64);
  r.inpaint->padding_mask_crop = 4;
  expect_refused(r, "padding_mask_crop");
  r.inpaint->padding_mask_crop.reset();
  r.inpaint->keep_unmasked = true;
  expect_refused(r, "keep_unmasked");
  r.inpaint->keep_unmasked = false;
  r.inpaint->outpaint = Margins{.left = 16};
  expect_refused(r, "outpaint");
  r.inpaint->outpaint.reset();
  r.inpaint->image_latents->shape = {1, 64, 8, 6};
  expect_refused(r, "image_latents");
  r.inpaint->image_latents->shape = {1, 128, 24};
  expect_refused(r, "image_latents");
}

TEST(InpaintRequest, ReferencesAreCheckedAsElsewhere) {
  for (const auto& [width, height] : {std::pair(63, 200), std::pair(64, 520)}) {
    Request r = request();
    r.image = {picture(width, height)};
    expect_refused(r, "image 1");
    r.inpaint.reset();
    expect_refused(r, "image 1");
  }
}

TEST(InpaintRequest, NoiseOfAnotherSize) {
  Request r = request();
  r.seeds.clear();
  r.latents = FloatArray{{1, 128, 4, 4}, std::vector<float>(128 * 16), ""};
  expect_refused(r, "latents");
}

TEST(InpaintRequest, Outpaint) {
  for (const Margins& margins : {Margins{}, Margins{.left = -1}, Margins{.top = 20'000},
                                 Margins{.right = -5, .bottom = 5}}) {
    Request r = request();
    r.inpaint->outpaint = margins;
    expect_refused(r, "outpaint");
  }
}

TEST(InpaintRequest, ThePictureSetsTheSize) {
  Request r = request(100, 90);
  r.width = 512;
  const Call call = resolve(r, klein());
  EXPECT_EQ(call.width(), 96);
  EXPECT_EQ(call.height(), 80);
  EXPECT_EQ(call.request.width, 96);
  EXPECT_EQ(call.warnings.size(), 1u);
  r.width.reset();
  r.inpaint->mask_image.clear();
  r.inpaint->keep_unmasked = true;
  EXPECT_EQ(resolve(r, klein()).warnings.size(), 1u);  // nothing is kept without a mask
}

TEST(InpaintRequest, SurvivesItsRecord) {
  const std::string file = testing::TempDir() + "/inpaint-record.png";
  Request r = request();
  save_image(r.inpaint->image.front(), file);
  r.inpaint->image = {load_image(file)};
  r.inpaint->mask_image = {load_image(file)};
  r.inpaint->strength = 0.5;
  r.inpaint->padding_mask_crop = 3;
  r.inpaint->keep_unmasked = true;
  r.inpaint->outpaint = Margins{1, 2, 3, 4};
  r.negative_prompt = {"blur"};
  r.caption_upsample_temperature = 0.25;
  const std::string json = request_to_json(r);
  const Request again = request_from_json(json, "test");
  EXPECT_EQ(request_to_json(again), json);
  ASSERT_TRUE(again.inpaint);
  EXPECT_EQ(again.inpaint->image.front().pixels, r.inpaint->image.front().pixels);
  EXPECT_EQ(again.inpaint->outpaint->bottom, 4);
  EXPECT_TRUE(again.inpaint->keep_unmasked);
  EXPECT_EQ(again.negative_prompt, r.negative_prompt);
  EXPECT_EQ(again.caption_upsample_temperature, 0.25);
  for (const char* damaged :
       {R"({"inpaint": 3})", R"({"inpaint": {"surprise": 1}})",
        R"({"inpaint": {"outpaint": [1, 2]}})", R"({"inpaint": {"keep_unmasked": 1}})",
        R"({"inpaint": {"image": {"file": ""}}})"}) {
    EXPECT_THROW(request_from_json(damaged, "test"), Error) << damaged;
  }
}

class InpaintFamily : public testing::TestWithParam<const char*> {
 protected:
  Result generate(const Request& request) const {
    static std::string loaded;
    static std::optional<Pipeline> pipeline;
    if (loaded != GetParam()) {
      pipeline = Pipeline::load(checkpoint(GetParam()), {.compute = Compute::f32, .threads = 1});
      loaded = GetParam();
    }
    return pipeline->generate(request);
  }
};

TEST_P(InpaintFamily, KeepsEveryByteOutsideOfTheMask) {
  Request r = request(101, 75);  // neither side a multiple of 16
  r.inpaint->keep_unmasked = true;
  const Image whole = generate(r).images.at(0);
  ASSERT_EQ(whole.width, 101);
  ASSERT_EQ(whole.height, 75);
  EXPECT_EQ(equal_values(whole, r.inpaint->image.front(), 0, 50), 50 * 75 * 3);
  EXPECT_LT(equal_values(whole, r.inpaint->image.front(), 60, 101), 41 * 75 * 3 / 2);

  r.inpaint->padding_mask_crop = 4;
  const Image part = generate(r).images.at(0);
  EXPECT_EQ(equal_values(part, r.inpaint->image.front(), 0, 50), 50 * 75 * 3);
  EXPECT_LT(equal_values(part, r.inpaint->image.front(), 60, 101), 41 * 75 * 3 / 2);
}

TEST_P(InpaintFamily, GrowsThePicture) {
  Request r = request(64, 48);
  r.inpaint->mask_image.clear();
  r.inpaint->keep_unmasked = true;
  r.inpaint->outpaint = Margins{.left = 20, .top = 3, .right = 12, .bottom = 13};
  const Result result = generate(r);
  const Image& grown = result.images.at(0);
  ASSERT_EQ(grown.width, 96);
  ASSERT_EQ(grown.height, 64);
  EXPECT_EQ(equal_values(grown, r.inpaint->image.front(), 0, 64, 20, 3), 64 * 48 * 3);
  EXPECT_EQ(result.request.inpaint->strength, 1.0);
}

TEST_P(InpaintFamily, TheMaskHoldsThePictureAndStrengthDecidesHowMuch) {
  Request r = request();
  r.inpaint->mask_image = {half_mask(96, 64)};
  std::fill(r.inpaint->mask_image.front().pixels.begin(),
            r.inpaint->mask_image.front().pixels.end(), 0);
  r.inpaint->strength = 1.0;
  const Result untouched = generate(r);
  EXPECT_EQ(untouched.warnings.size(), 1u);
  // With nothing to paint the latents are the picture's, whatever the seed.
  r.seeds = {6};
  EXPECT_EQ(generate(r).latents.values, untouched.latents.values);

  const auto distance = [&](double strength) {
    Request free = request();
    free.inpaint->mask_image.clear();  // image to image
    free.num_inference_steps = 10;
    free.inpaint->strength = strength;
    const std::vector<float> latents = generate(free).latents.values;
    double sum = 0;
    for (std::size_t i = 0; i < latents.size(); ++i)
      sum += std::abs(double{latents[i]} - double{untouched.latents.values[i]});
    return sum;
  };
  const double little = distance(0.1);
  EXPECT_GT(little, 0);
  EXPECT_LT(little, distance(1.0));
}

TEST_P(InpaintFamily, MoreReferencesChangeThePicture) {
  Request r = request();
  const Result alone = generate(r);
  r.image = {picture(64, 64)};
  EXPECT_NE(generate(r).latents.values, alone.latents.values);
}

INSTANTIATE_TEST_SUITE_P(Families, InpaintFamily,
                         testing::Values("tiny-dev", "tiny-klein", "tiny-klein-base",
                                         "tiny-klein-kv"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace flux2
