// What a request is refused for: by which argument, and in whose words.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "pipeline/call.h"

namespace flux2 {
namespace {

const ModelFolder& klein_base() {
  static const ModelFolder model = ModelFolder::open(
      std::string(FLUX2_SOURCE_DIR) + "/tests/goldens/data/checkpoints/tiny-klein-base");
  return model;
}

Image picture(int width, int height, std::uint8_t value = 200) {
  Image image;
  image.width = width;
  image.height = height;
  image.pixels.assign(static_cast<std::size_t>(width * height * 3), value);
  return image;
}

FloatArray zeros(std::vector<std::int64_t> shape) {
  std::int64_t count = 1;
  for (const std::int64_t dim : shape)
    count *= dim;
  return {std::move(shape), std::vector<float>(static_cast<std::size_t>(count)), ""};
}

Request request() {
  Request r;
  r.prompt = {"a cat"};
  r.width = r.height = 32;
  r.num_inference_steps = 4;
  r.guidance_scale = 1.0;
  r.max_sequence_length = 16;
  r.seeds = {5};
  return r;
}

Request painting() {
  Request r = request();
  r.width.reset();
  r.height.reset();
  r.inpaint.emplace();
  r.inpaint->image = {picture(48, 32)};
  r.inpaint->mask_image = {picture(48, 32)};
  return r;
}

struct Refusal {
  const char* argument;
  const char* words;
  std::function<void(Request&)> spoil;
  bool inpaint = false;
};

const std::vector<Refusal>& refusals() {
  static const std::vector<Refusal> all = {
      {"prompt", "cannot both be given",
       [](Request& r) {
         r.prompt_embeds = zeros({1, 4, 8});
       }},
      {"prompt", "must be given", [](Request& r) { r.prompt.clear(); }},
      {"seed", "2 seeds for 1 pictures",
       [](Request& r) {
         r.seeds = {1, 2};
       }},
      {"image 1", "63x100", [](Request& r) { r.image = {picture(63, 100)}; }},
      {"image 1", "100x60", [](Request& r) { r.image = {picture(100, 60)}; }},
      {"image 1", "at most 8:1", [](Request& r) { r.image = {picture(64, 513)}; }},
      {"num_inference_steps", "at least 1", [](Request& r) { r.num_inference_steps = 0; }},
      {"guidance_scale", "must be a number", [](Request& r) { r.guidance_scale = NAN; }},
      {"latents", "does not fit",
       [](Request& r) {
         r.latents = zeros({2, 128, 2, 2});
       }},
      {"latents", "dimensions",
       [](Request& r) {
         r.latents = zeros({1, 4, 128});
       }},
      {"negative_prompt", "1 or as many",
       [](Request& r) {
         r.negative_prompt = {"a", "b"};
       }},
      {"image_latents", "does not fit",
       [](Request& r) {
         r.image_latents = {zeros({3, 128, 2, 2})};
       }},
      {"image_latents", "does not fit",
       [](Request& r) {
         r.image_latents = {zeros({1, 32, 2, 2})};
       }},
      {"image_per_sample", "2 lists",
       [](Request& r) {
         r.image_per_sample = {{picture(64, 64)}, {picture(64, 64)}};
       }},
      {"image_per_sample", "another 0",
       [](Request& r) {
         r.num_images_per_prompt = 2;
         r.image_per_sample = {{picture(64, 64)}, {}};
       }},
      {"image_per_sample", "64x64 pixels for one sample and 80x64",
       [](Request& r) {
         r.num_images_per_prompt = 2;
         r.image_per_sample = {{picture(64, 64)}, {picture(80, 64)}};
       }},
      {"image 1 of sample 1", "63x64",
       [](Request& r) { r.image_per_sample = {{picture(63, 64)}}; }},
      {"attention_mask", "dimensions", [](Request& r) { r.attention_mask = zeros({4}); }},
      {"attention_mask", "[2, 20, 20] does not broadcast",
       [](Request& r) {
         r.attention_mask = zeros({2, 20, 20});
       }},
      {"attention_mask", "do not fill",
       [](Request& r) {
         r.attention_mask = FloatArray{{20, 20}, {1, 2}, ""};
       }},
      {"attention_mask", "NaN",
       [](Request& r) {
         r.attention_mask = zeros({1, 20});
         r.attention_mask->values[3] = std::numeric_limits<float>::infinity();
       }},
      {"attention_mask", "of the negative prompt",
       [](Request& r) {
         r.guidance_scale = 2.0;
         r.negative_prompt_embeds = zeros({1, 4, klein_base().transformer.text_dim});
         r.attention_mask = zeros({20, 20});
       }},
      {"inpaint", "no picture", [](Request& r) { r.inpaint->image.clear(); }, true},
      {"inpaint", "no picture", [](Request& r) { r.inpaint->image = {Image{}}; }, true},
      {"inpaint", "2 of them",
       [](Request& r) {
         r.inpaint->image = {picture(48, 32), picture(48, 32)};
       },
       true},
      {"mask", "2 of them",
       [](Request& r) {
         r.inpaint->mask_image = {picture(48, 32), picture(48, 32)};
       },
       true},
      {"image_latents", "3 of them",
       [](Request& r) {
         r.inpaint->image.clear();
         r.inpaint->image_latents = zeros({3, 128, 2, 3});
       },
       true},
      {"padding_mask_crop", "several",
       [](Request& r) {
         r.num_images_per_prompt = 2;
         r.inpaint->image = {picture(48, 32), picture(48, 32)};
         r.inpaint->padding_mask_crop = 4;
       },
       true},
      {"padding_mask_crop", "no mask",
       [](Request& r) {
         r.inpaint->mask_image.clear();
         r.inpaint->padding_mask_crop = 4;
       },
       true},
      {"strength", "0 to 1", [](Request& r) { r.inpaint->strength = 1.5; }, true},
      {"strength", "leaves none", [](Request& r) { r.inpaint->strength = 0.0; }, true},
  };
  return all;
}

TEST(Refusals, NameTheArgumentAndSayWhy) {
  for (const Refusal& refusal : refusals()) {
    Request r = refusal.inpaint ? painting() : request();
    refusal.spoil(r);
    try {
      resolve(r, klein_base());
      ADD_FAILURE() << "accepted: " << refusal.argument << ", " << refusal.words;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_request) << error.what();
      EXPECT_EQ(error.where(), refusal.argument) << error.what();
      EXPECT_NE(error.message().find(refusal.words), std::string::npos)
          << error.what() << " lacks: " << refusal.words;
    }
  }
}

}  // namespace
}  // namespace flux2
