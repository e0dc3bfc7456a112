// Inpainting against Flux2KleinInpaintPipeline: every step's latents, the mask, the pictures.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "flux2/flux2.h"
#include "golden.h"
#include "pipeline/arrays.h"
#include "pipeline/call.h"

namespace flux2::golden {
namespace {

using Json = nlohmann::json;

constexpr double kLatentsTolerance = 1e-4;
constexpr int kPixelTolerance = 1;  // levels of 255: a rounding that falls the other way

class InpaintCase : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    std::ifstream file(path("case.json"));
    case_ = Json::parse(file);
  }

  std::string relative(const std::string& file) const {
    return fmt::format("e2e/{}/{}", GetParam(), file);
  }
  std::filesystem::path path(const std::string& file) const { return data_path(relative(file)); }
  GoldenFile golden() const { return GoldenFile(relative("tensors.safetensors")); }
  std::filesystem::path model() const {
    return data_path("e2e") / GetParam() / case_["checkpoint"].get<std::string>();
  }
  Request request() const;

  Json case_;
};

Request InpaintCase::request() const {
  const Json& arguments = case_["arguments"];
  const Json& files = case_["files"];
  Request r;
  r.prompt = {arguments["prompt"]};
  r.num_inference_steps = arguments["num_inference_steps"];
  r.guidance_scale = case_["resolved"]["guidance_scale"].get<double>();
  r.num_images_per_prompt = arguments.value("num_images_per_prompt", 1);
  if (case_.contains("seed")) r.seeds = {case_["seed"]};
  if (case_.contains("seeds")) r.seeds = case_["seeds"].get<std::vector<std::uint64_t>>();
  if (files.contains("latents")) r.latents = load_array(path(files["latents"]), "latents");
  if (files.contains("image_reference")) r.image = {load_image(path(files["image_reference"]))};
  r.inpaint.emplace();
  r.inpaint->image = {load_image(path(files["image"]))};
  r.inpaint->mask_image = {load_image(path(files["mask"]))};
  if (arguments.contains("strength")) r.inpaint->strength = arguments["strength"].get<double>();
  if (arguments.contains("padding_mask_crop")) {
    r.inpaint->padding_mask_crop = arguments["padding_mask_crop"].get<int>();
  }
  return r;
}

void expect_pictures(const Image& actual, const Image& expected, const std::string& name) {
  ASSERT_EQ(actual.width, expected.width) << name;
  ASSERT_EQ(actual.height, expected.height) << name;
  ASSERT_EQ(actual.format, expected.format) << name;
  int most = 0;
  for (std::size_t i = 0; i < expected.pixels.size(); ++i)
    most = std::max(most, std::abs(int{actual.pixels[i]} - int{expected.pixels[i]}));
  EXPECT_LE(most, kPixelTolerance) << name;
}

TEST_P(InpaintCase, PlanIsWhatDiffusersPrepares) {
  const GoldenFile golden = this->golden();
  const Call call = resolve(request(), ModelFolder::open(model()));
  ASSERT_EQ(call.inpaint.size(), 1u);
  const std::vector<float>& mask = call.inpaint.front().mask;
  const Tensor expected = golden.tensor("mask")[0];
  ASSERT_EQ(static_cast<std::int64_t>(mask.size()), expected.elements());
  EXPECT_LE(
      relative_error(make_host_tensor({static_cast<std::int64_t>(mask.size())}, mask), expected),
      1e-6);
  EXPECT_EQ(call.schedule.steps(), case_["expected"]["steps"].get<int>());
  // The golden holds every timestep of the schedule, those that strength skips too.
  const std::vector<float> timesteps = to_vector(golden.tensor("timesteps"));
  ASSERT_GE(timesteps.size(), call.schedule.timesteps.size());
  EXPECT_TRUE(std::equal(call.schedule.timesteps.rbegin(), call.schedule.timesteps.rend(),
                         timesteps.rbegin()));
}

TEST_P(InpaintCase, EveryStepAndThePicture) {
  const GoldenFile golden = this->golden();
  const Pipeline pipeline = Pipeline::load(model().string(), {.compute = Compute::f32});
  const int steps = case_["expected"]["steps"];
  RunOptions options;
  options.callback_on_step_end = [&](const StepState& state) {
    const bool last = state.step + 1 == steps;
    const std::string name = last ? "final_latents" : fmt::format("step{}", state.step);
    EXPECT_LE(relative_error(to_tensor(state.latents), golden.tensor(name)), kLatentsTolerance)
        << name;
  };
  const Result result = pipeline.generate(request(), options);
  EXPECT_EQ(result.step_seconds.size(), static_cast<std::size_t>(steps));
  const std::vector<std::string> pictures = case_["expected"]["png"];
  ASSERT_EQ(result.images.size(), pictures.size());
  for (std::size_t i = 0; i < pictures.size(); ++i)
    expect_pictures(result.images[i], load_image(path(pictures[i])), pictures[i]);
}

// The golden's own picture latents, given as latents: the same in another form.
TEST_P(InpaintCase, PictureAsLatents) {
  const GoldenFile golden = this->golden();
  Request latents = request();
  if (latents.inpaint->padding_mask_crop) return;  // works on pixels
  const Pipeline pipeline = Pipeline::load(model().string(), {.compute = Compute::f32});
  const GoldenFile vae("checkpoints/" + model().filename().string() +
                       "/vae/diffusion_pytorch_model.safetensors");
  const Tensor mean = vae.tensor("bn.running_mean");
  const Tensor variance = vae.tensor("bn.running_var");
  const Call call = resolve(latents, ModelFolder::open(model()));
  Tensor tokens = golden.tensor("image_latents");
  if (tokens.dim(0) > 1) tokens = tokens.slice(0, 0, 1);
  FloatArray given = {{1, 128, call.grid.rows, call.grid.columns}, {}, ""};
  for (std::int64_t c = 0; c < 128; ++c) {
    for (std::int64_t t = 0; t < call.grid.tokens(); ++t) {
      given.values.push_back(tokens.f32()[t * 128 + c] * std::sqrt(variance.f32()[c] + 1e-4f) +
                             mean.f32()[c]);
    }
  }
  latents.inpaint->image.clear();
  latents.inpaint->image_latents = given;
  const Result result = pipeline.generate(latents, {.output = Output::latents});
  EXPECT_LE(relative_error(to_tensor(result.latents), golden.tensor("final_latents")),
            kLatentsTolerance);
}

INSTANTIATE_TEST_SUITE_P(Goldens, InpaintCase,
                         testing::Values("inpaint-cfg", "inpaint-crop", "inpaint-crop-small",
                                         "inpaint-distilled", "inpaint-latents",
                                         "inpaint-reference", "inpaint-resized",
                                         "inpaint-strength-1", "inpaint-two-images"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace flux2::golden
