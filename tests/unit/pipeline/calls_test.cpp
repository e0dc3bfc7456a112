// Calls that make_call_cases.py made with Diffusers: outputs of every kind, masks of attention,
// interrupting, several pictures to paint over, and the parts by themselves.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <map>

#include "flux2/flux2.h"

namespace flux2 {
namespace {

constexpr int kText = 24;
constexpr double kTolerance = 2e-5;  // f32 against f32, of values about 1

const Pipeline& pipeline(const std::string& name) {
  static std::map<std::string, Pipeline> loaded;
  const auto found = loaded.find(name);
  if (found != loaded.end()) return found->second;
  return loaded
      .emplace(name, Pipeline::load(
                         std::string(FLUX2_SOURCE_DIR) + "/tests/goldens/data/checkpoints/" + name,
                         {.compute = Compute::f32, .threads = 1}))
      .first->second;
}

FloatArray expected(const std::string& name) {
  return load_array(std::string(FLUX2_SOURCE_DIR) + "/tests/unit/pipeline/data/calls.safetensors",
                    name);
}

void expect_near(const FloatArray& actual, const std::string& name, double tolerance = kTolerance) {
  const FloatArray wanted = expected(name);
  ASSERT_EQ(actual.shape, wanted.shape) << name;
  double difference = 0;
  double norm = 0;
  for (std::size_t i = 0; i < wanted.values.size(); ++i) {
    const double delta = double{actual.values[i]} - double{wanted.values[i]};
    difference += delta * delta;
    norm += double{wanted.values[i]} * double{wanted.values[i]};
  }
  EXPECT_LT(std::sqrt(difference / norm), tolerance) << name;
}

std::vector<float> numbers(int count, int factor) {
  std::vector<float> values;
  for (int i = 0; i < count; ++i)
    values.push_back(static_cast<float>(static_cast<double>(i * factor % 251) / 251.0));
  return values;
}

Image picture(int width, int height, int factor) {
  Image image;
  image.width = width;
  image.height = height;
  for (int i = 0; i < width * height * 3; ++i)
    image.pixels.push_back(static_cast<std::uint8_t>(i * factor % 251));
  return image;
}

Image float_picture(int width, int height, const std::vector<float>& values) {
  Image image;
  image.width = width;
  image.height = height;
  image.format = PixelFormat::rgb_float;
  image.pixels.resize(values.size() * sizeof(float));
  std::memcpy(image.pixels.data(), values.data(), image.pixels.size());
  return image;
}

enum class Half { right, top };

Image half_mask(int width, int height, Half half) {
  Image mask;
  mask.width = width;
  mask.height = height;
  mask.format = PixelFormat::gray;
  for (int i = 0; i < width * height; ++i) {
    const bool white = half == Half::right ? i % width >= width / 2 : i / width < height / 2;
    mask.pixels.push_back(white ? 255 : 0);
  }
  return mask;
}

FloatArray attention_mask(int tokens) {
  FloatArray mask = {{1, 1, tokens, tokens}, {}, ""};
  for (int i = 0; i < tokens; ++i) {
    for (int j = 0; j < tokens; ++j) {
      const bool hidden = j == kText - 1;
      mask.values.push_back(hidden ? -std::numeric_limits<float>::infinity()
                                   : -0.125F * static_cast<float>(std::abs(i - j) % 16));
    }
  }
  return mask;
}

Request request() {
  Request r;
  r.prompt = {"a cat"};
  r.height = 32;
  r.width = 48;
  r.num_inference_steps = 2;
  r.seeds = {5};
  r.max_sequence_length = kText;
  return r;
}

Request inpaint_two() {
  Request r = request();
  r.height.reset();
  r.width.reset();
  r.prompt = {"a cat", "a dog"};
  r.inpaint.emplace();
  r.inpaint->image = {picture(48, 32, 37), picture(48, 32, 41)};
  r.inpaint->mask_image = {half_mask(48, 32, Half::right), half_mask(48, 32, Half::top)};
  r.inpaint->strength = 1.0;
  return r;
}

// The final latents as Diffusers' klein pipelines return them.
FloatArray latents_of(const std::string& model, const Request& r, RunOptions options = {}) {
  options.output = Output::latents;
  const Result result = pipeline(model).generate(r, options);
  EXPECT_TRUE(result.images.empty());
  EXPECT_TRUE(result.pixels.values.empty());
  return pipeline(model).unpack_latents(result.latents, *result.request.height,
                                        *result.request.width);
}

TEST(Calls, LatentsAsKleinReturnsThem) {
  expect_near(latents_of("tiny-klein", request()), "klein_latent");
}

TEST(Calls, PixelsAreNotRounded) {
  const Result result = pipeline("tiny-klein").generate(request(), {.output = Output::pixels});
  expect_near(result.pixels, "klein_pixels");
  EXPECT_TRUE(result.images.empty());
  const Image rounded = pipeline("tiny-klein").generate(request()).images.at(0);
  for (std::size_t i = 0; i < rounded.pixels.size(); ++i)
    ASSERT_EQ(static_cast<float>(rounded.pixels[i]), std::nearbyint(result.pixels.values[i] * 255));
}

TEST(Calls, EmbeddingsWithoutATransformer) {
  std::vector<Stage> stages;
  RunOptions options = {.output = Output::prompt_embeds};
  options.progress = [&](const Progress& progress) { stages.push_back(progress.stage); };
  Request r = request();
  r.image = {picture(64, 64, 37)};
  const Result result = pipeline("tiny-klein-base").generate(r, options);
  EXPECT_TRUE(result.latents.values.empty());
  EXPECT_TRUE(result.step_seconds.empty());
  for (const Stage stage : stages)
    EXPECT_TRUE(stage == Stage::load_text || stage == Stage::encode_text) << to_string(stage);
  const Result whole = pipeline("tiny-klein-base").generate(r);
  EXPECT_EQ(result.prompt_embeds.values, whole.prompt_embeds.values);
}

TEST(Calls, AttentionMask) {
  Request r = request();
  const FloatArray plain = latents_of("tiny-klein", r);
  r.attention_mask = attention_mask(kText + 6);
  const FloatArray masked = latents_of("tiny-klein", r);
  expect_near(masked, "klein_mask");
  EXPECT_NE(masked.values, plain.values);
  r.attention_mask->shape = {kText + 6, kText + 6};
  EXPECT_EQ(latents_of("tiny-klein", r).values, masked.values);

  r.attention_mask = FloatArray{{1, kText + 6}, std::vector<float>(kText + 6), ""};
  r.attention_mask->values[3] = -std::numeric_limits<float>::infinity();
  expect_near(latents_of("tiny-klein", r), "klein_key_mask");
}

TEST(Calls, AttentionMaskOfKv) {
  Request r = request();
  r.attention_mask = attention_mask(kText + 6);
  expect_near(latents_of("tiny-klein-kv", r), "kv_mask");
  // Beside references its attention processor takes none.
  r.image = {picture(64, 64, 37)};
  const Result masked = pipeline("tiny-klein-kv").generate(r, {.output = Output::latents});
  EXPECT_EQ(masked.warnings.size(), 1u);
  r.attention_mask.reset();
  EXPECT_EQ(pipeline("tiny-klein-kv").generate(r).latents.values, masked.latents.values);
}

TEST(Calls, AttentionMaskCountsReferencesAndGuidance) {
  Request r = request();
  r.image = {picture(64, 64, 37)};
  const FloatArray plain = latents_of("tiny-klein-base", r);
  const int tokens = kText + 6 + 16;
  r.attention_mask = FloatArray{{tokens, tokens}, std::vector<float>(tokens * tokens, 0.5F), ""};
  const FloatArray same = latents_of("tiny-klein-base", r);  // the same for all keys: no change
  for (std::size_t i = 0; i < same.values.size(); ++i)
    ASSERT_NEAR(same.values[i], plain.values[i], 1e-4);
  r.attention_mask = attention_mask(tokens);
  EXPECT_NE(latents_of("tiny-klein-base", r).values, plain.values);
}

TEST(Calls, Interrupted) {
  RunOptions options;
  int steps = 0;
  options.callback_on_step_end = [&](StepState& state) {
    ++steps;
    state.interrupt = true;
  };
  expect_near(latents_of("tiny-klein", request(), options), "klein_interrupted");
  EXPECT_EQ(steps, 1);
  const Result result = pipeline("tiny-klein").generate(request(), options);
  EXPECT_EQ(result.images.size(), 1u);
  EXPECT_EQ(result.step_seconds.size(), 1u);
}

TEST(Calls, SeveralPicturesToPaintOver) {
  const Request r = inpaint_two();
  expect_near(latents_of("tiny-klein", r), "inpaint_two");
  // Latents of the pictures stand in for them.
  Request by_latents = r;
  std::vector<float> patches;
  for (const Image& image : r.inpaint->image) {
    const LatentDistribution d = pipeline("tiny-klein").encode_image(model_pixels(image));
    const FloatArray& mean = d.mean;  // [1, 32, 4, 6] to patches [1, 128, 2, 3]
    for (int c = 0; c < 128; ++c) {
      for (int i = 0; i < 6; ++i) {
        const int y = 2 * (i / 3) + c % 4 / 2;
        const int x = 2 * (i % 3) + c % 2;
        patches.push_back(mean.values[static_cast<std::size_t>((c / 4 * 4 + y) * 6 + x)]);
      }
    }
  }
  by_latents.inpaint->image.clear();
  by_latents.inpaint->image_latents = FloatArray{{2, 128, 2, 3}, patches, ""};
  expect_near(latents_of("tiny-klein", by_latents), "inpaint_two");
}

TEST(Calls, AReferencePerSample) {
  Request r = inpaint_two();
  r.image_per_sample = {{picture(64, 64, 43)}, {picture(64, 64, 47)}};
  expect_near(latents_of("tiny-klein", r), "inpaint_reference_per_sample");
}

TEST(Calls, FloatsReachTheVaeUnrounded) {
  Request r = inpaint_two();
  r.prompt = {"a cat"};
  r.inpaint->image = {float_picture(48, 32, numbers(48 * 32 * 3, 53))};
  r.inpaint->mask_image.resize(1);
  expect_near(latents_of("tiny-klein", r), "inpaint_floats");
}

TEST(Parts, EncodeAndDecode) {
  const Pipeline& dev = pipeline("tiny-dev");
  std::vector<float> values = numbers(2 * 3 * 16 * 24, 59);
  for (float& value : values)
    value = 2 * value - 1;
  const LatentDistribution d = dev.encode_image({{2, 3, 16, 24}, values, ""});
  expect_near(d.mean, "encoded_mean");
  expect_near(d.log_variance, "encoded_log_variance");
  const FloatArray decoded = dev.decode_latents(d.mean);
  expect_near(decoded, "decoded");
  EXPECT_EQ(images_from_pixels(decoded).size(), 2u);
}

TEST(Parts, PackedAndBack) {
  const Pipeline& klein = pipeline("tiny-klein");
  const FloatArray latents = {{2, 32, 4, 6}, numbers(2 * 32 * 24, 53), ""};
  const FloatArray tokens = klein.pack_latents(latents);
  ASSERT_EQ(tokens.shape, (std::vector<std::int64_t>{2, 6, 128}));
  const FloatArray again = klein.unpack_latents(tokens, 32, 48);
  ASSERT_EQ(again.shape, latents.shape);
  for (std::size_t i = 0; i < latents.values.size(); ++i)
    ASSERT_NEAR(again.values[i], latents.values[i], 1e-5);
}

VelocityInputs velocity_inputs() {
  VelocityInputs inputs;
  inputs.hidden_states = {{2, 6, 128}, numbers(2 * 6 * 128, 61), ""};
  const FloatArray embeds =
      pipeline("tiny-dev").generate(request(), {.output = Output::prompt_embeds}).prompt_embeds;
  const auto width = static_cast<int>(embeds.shape[2]);
  inputs.encoder_hidden_states = {{2, 5, width}, numbers(2 * 5 * width, 67), ""};
  inputs.timestep = {0.75F, 0.5F};
  for (std::int64_t i = 0; i < 6; ++i)
    inputs.img_ids.push_back({0, i / 3, i % 3, 0});
  inputs.guidance = {3.0F, 4.0F};
  return inputs;
}

TEST(Parts, Velocity) {
  const Pipeline& dev = pipeline("tiny-dev");
  VelocityInputs inputs = velocity_inputs();
  const FloatArray velocity = dev.predict_velocity(inputs);
  expect_near(velocity, "velocity", 1e-4);
  for (std::int64_t i = 0; i < 5; ++i)
    inputs.txt_ids.push_back({0, 0, 0, i});
  EXPECT_EQ(dev.predict_velocity(inputs).values, velocity.values);
  inputs.attention_mask = FloatArray{{11, 11}, std::vector<float>(121), ""};
  EXPECT_EQ(dev.predict_velocity(inputs).values, velocity.values);
  inputs.attention_mask->values[0] = -9;
  EXPECT_NE(dev.predict_velocity(inputs).values, velocity.values);
  inputs.timestep = {0.75F};
  EXPECT_NE(dev.predict_velocity(inputs).values, velocity.values);
}

template <typename Call>
void expect_refused(const std::string& argument, const Call& call) {
  try {
    call();
    ADD_FAILURE() << "accepted, though " << argument << " is wrong";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_request) << error.what();
    EXPECT_EQ(error.where(), argument) << error.what();
  }
}

TEST(Parts, RefuseWrongShapes) {
  const Pipeline& dev = pipeline("tiny-dev");
  const auto zeros = [](std::vector<std::int64_t> shape) {
    std::int64_t count = 1;
    for (const std::int64_t dim : shape)
      count *= dim;
    return FloatArray{std::move(shape), std::vector<float>(static_cast<std::size_t>(count)), ""};
  };
  for (const auto& shape :
       {std::vector<std::int64_t>{3, 16, 16}, {1, 4, 16, 16}, {1, 3, 16, 20}, {1, 3, 0, 16}}) {
    expect_refused("pixels", [&] { dev.encode_image(zeros(shape)); });
  }
  expect_refused("pixels", [&] { images_from_pixels(zeros({1, 4, 2, 2})); });
  for (const auto& shape : {std::vector<std::int64_t>{32, 2, 2}, {1, 16, 2, 2}, {1, 32, 4000, 1}})
    expect_refused("latents", [&] { dev.decode_latents(zeros(shape)); });
  expect_refused("latents", [&] { dev.pack_latents(zeros({1, 32, 3, 2})); });
  expect_refused("latents", [&] { dev.unpack_latents(zeros({1, 5, 128}), 32, 48); });
  expect_refused("latents", [&] { dev.unpack_latents(zeros({1, 6, 128}), -32, -48); });
  FloatArray unfilled = zeros({1, 32, 2, 2});
  unfilled.values.pop_back();
  expect_refused("latents", [&] { dev.decode_latents(unfilled); });
}

TEST(Parts, RefuseInputsThatDoNotBelongTogether) {
  const auto refused = [](const std::string& argument, const auto& spoil) {
    VelocityInputs inputs = velocity_inputs();
    spoil(inputs);
    expect_refused(argument, [&] { pipeline("tiny-dev").predict_velocity(inputs); });
  };
  refused("hidden_states", [](VelocityInputs& i) { i.hidden_states.shape = {2, 12, 64}; });
  refused("hidden_states", [](VelocityInputs& i) { i.hidden_states.values[0] = NAN; });
  refused("encoder_hidden_states", [](VelocityInputs& i) { i.encoder_hidden_states.shape[0] = 1; });
  refused("encoder_hidden_states", [](VelocityInputs& i) {
    const std::int64_t width = i.encoder_hidden_states.shape[2];
    i.encoder_hidden_states.shape = {1, 10, width};
  });
  refused("timestep", [](VelocityInputs& i) { i.timestep = {1, 1, 1}; });
  refused("timestep", [](VelocityInputs& i) { i.timestep = {NAN}; });
  refused("timestep", [](VelocityInputs& i) { i.timestep.clear(); });
  refused("guidance", [](VelocityInputs& i) { i.guidance = {1, 1, 1}; });
  refused("img_ids", [](VelocityInputs& i) { i.img_ids.pop_back(); });
  refused("txt_ids", [](VelocityInputs& i) { i.txt_ids.resize(4); });
  refused("attention_mask", [](VelocityInputs& i) {
    i.attention_mask = FloatArray{{7, 11, 11}, std::vector<float>(847), ""};
  });
}

}  // namespace
}  // namespace flux2
