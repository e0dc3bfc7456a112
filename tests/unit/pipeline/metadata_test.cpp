// A picture's text rebuilds its request.
#include <gtest/gtest.h>

#include <filesystem>

#include "flux2/pipeline.h"
#include "pipeline/request_json.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

class Metadata : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) /
              testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  Image saved_picture(const std::string& name, std::uint8_t value) const {
    Image image;
    image.width = image.height = 64;
    image.pixels.assign(64 * 64 * 3, value);
    save_image(image, folder_ / name);
    image = load_image(folder_ / name);
    image.file = (folder_ / name).string();
    return image;
  }

  fs::path folder_;
};

Request full_request() {
  Request r;
  r.prompt = {"a \"cat\",\nwith ünïcode 猫", "a dog"};
  r.width = 64;
  r.height = 80;
  r.num_inference_steps = 7;
  r.sigmas = {1.0, 0.75, 0.1};
  r.guidance_scale = 2.5;
  r.num_images_per_prompt = 2;
  r.seeds = {1, 18446744073709551615ull, 3, 4};
  r.noise = Noise::torch_cuda;
  r.noise_dtype = NoiseDType::bf16;
  r.cuda_card = "a100";
  r.max_sequence_length = 48;
  r.text_encoder_out_layers = {1, 2, 3};
  return r;
}

TEST_F(Metadata, RequestSurvives) {
  Request request = full_request();
  request.image = {saved_picture("reference.png", 7)};
  const std::string json = request_to_json(request);
  const Request again = request_from_json(json, "test");
  EXPECT_EQ(request_to_json(again), json);
  EXPECT_EQ(again.prompt, request.prompt);
  EXPECT_EQ(again.seeds, request.seeds);
  EXPECT_EQ(again.image.at(0).pixels, request.image[0].pixels);
  EXPECT_EQ(again.noise, Noise::torch_cuda);
}

TEST_F(Metadata, DescribeAndRebuild) {
  Result result;
  result.request = full_request();
  ModelInfo model;
  model.name = "nano";
  model.pipeline_class = "Flux2KleinPipeline";
  const ImageText text = describe(result, model, 2);
  const std::string& parameters = text.at("parameters");
  EXPECT_EQ(parameters.rfind("a dog\nSteps: 3, ", 0), 0u) << parameters;
  EXPECT_NE(parameters.find("Seed: 3, Size: 64x80, Model: nano"), std::string::npos) << parameters;
  const RecordedRequest recorded = recorded_request(text, "picture.png");
  EXPECT_EQ(recorded.model, "nano");
  EXPECT_EQ(request_to_json(recorded.request), request_to_json(result.request));
}

TEST_F(Metadata, ChangedOrMissingReferences) {
  Request request = full_request();
  request.image = {saved_picture("reference.png", 7)};
  const std::string json = request_to_json(request);
  saved_picture("reference.png", 8);
  EXPECT_THROW(request_from_json(json, "test"), Error);
  fs::remove(folder_ / "reference.png");
  EXPECT_THROW(request_from_json(json, "test"), Error);
  request.image[0].file.clear();
  EXPECT_THROW(request_from_json(request_to_json(request), "test"), Error);
}

TEST_F(Metadata, MoreThanOneOfEach) {
  const Image a = saved_picture("a.png", 1);
  const Image b = saved_picture("b.png", 2);
  const auto array = [&](const char* name) {
    const std::string file = (folder_ / (std::string(name) + ".safetensors")).string();
    save_array({{1, 2}, {3.0F, 4.0F}, ""}, file, name);
    return load_array(file, name);
  };
  Request request = full_request();
  request.image_per_sample = {{a, b}, {b, a}};
  request.image_latents = {array("image_latents")};
  request.attention_mask = array("attention_mask");
  request.noise = Noise::torch_cpu_legacy;
  request.noise_dtype = NoiseDType::f16;
  request.inpaint.emplace();
  request.inpaint->image = {a, b};
  request.inpaint->mask_image = {b};
  const std::string json = request_to_json(request);
  const Request again = request_from_json(json, "test");
  EXPECT_EQ(request_to_json(again), json);
  EXPECT_EQ(again.image_per_sample.at(1).at(0).pixels, b.pixels);
  EXPECT_EQ(again.image_latents.at(0).values, request.image_latents[0].values);
  EXPECT_EQ(again.attention_mask->values, request.attention_mask->values);
  EXPECT_EQ(again.inpaint->image.at(1).pixels, b.pixels);
  EXPECT_EQ(again.noise, Noise::torch_cpu_legacy);
}

TEST_F(Metadata, WhatCannotComeBackIsSaid) {
  Request request = full_request();
  request.noise_source = [](const auto&) { return FloatArray{}; };
  try {
    request_from_json(request_to_json(request), "picture.png");
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("noise_source"), std::string::npos) << error.what();
  }
}

TEST_F(Metadata, DamagedRecords) {
  for (const char* json :
       {"", "[]", "{\"prompt\": 3}", "{\"prompt\": \"text\"}", "{\"noise\": \"pink\"}",
        "{\"seeds\": [-1.5]}", "{\"surprise\": 1}", "{\"image_per_sample\": [3]}",
        "{\"image_latents\": 3}", "{\"image\": {}}", "{\"inpaint\": {\"image\": {}}}",
        "{\"image\": [3]}", "{\"image\": [{}]}", "{\"latents\": \"/nowhere.safetensors\"}",
        "{\"width\": \"wide\"}"}) {
    try {
      request_from_json(json, "picture.png");
      ADD_FAILURE() << "accepted: " << json;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::bad_file) << json;
    }
  }
  EXPECT_THROW(recorded_request({}, "picture.png"), Error);
  EXPECT_THROW(recorded_request({{"flux2", "{}"}}, "picture.png"), Error);
}

}  // namespace
}  // namespace flux2
