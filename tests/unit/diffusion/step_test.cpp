#include "diffusion/step.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "diffusion/schedule.h"
#include "golden.h"

namespace flux2 {
namespace {

using testing::first_difference;
using testing::GoldenFile;

std::vector<float> in_bf16(std::vector<float> values) {
  for (float& value : values)
    value = round_to_bf16(value);
  return values;
}

class Step : public ::testing::TestWithParam<Arithmetic> {
 protected:
  std::vector<float> golden(const std::string& name) const { return file_.floats(prefix_ + name); }

  Arithmetic arithmetic_ = GetParam();

 private:
  std::string prefix_ = arithmetic_ == Arithmetic::bf16 ? "bfloat16." : "float32.";
  GoldenFile file_{"scheduler/euler.safetensors"};
};

TEST_P(Step, EulerEqualsDiffusers) {
  const std::vector<float> sigmas = golden("sigmas");
  EXPECT_EQ(sigmas, make_schedule({}, {.steps = 4, .tokens = 4096}).sigmas);
  const std::vector<float> velocity = golden("velocity");
  std::vector<float> x = golden("sample");
  euler_step(x, velocity, {.from = sigmas[0], .to = sigmas[1]}, arithmetic_);
  EXPECT_EQ(first_difference(x, golden("step0")), -1);
  euler_step(x, velocity, {.from = sigmas[1], .to = sigmas[2]}, arithmetic_);
  EXPECT_EQ(first_difference(x, golden("step1")), -1);
}

TEST_P(Step, GuidanceEqualsDiffusers) {
  std::vector<float> velocity = golden("cond");
  guide(velocity, golden("uncond"), 4.0f, arithmetic_);
  EXPECT_EQ(first_difference(velocity, golden("guided_4")), -1);
}

TEST_P(Step, ScaleNoiseEqualsDiffusers) {
  const std::vector<float> picture = golden("sample");
  std::vector<float> noise = golden("velocity");
  const float sigma = golden("sigmas")[2];
  std::vector<float> out(picture.size());
  scale_noise(picture, noise, sigma, arithmetic_, out);
  EXPECT_EQ(first_difference(out, golden("scale_noise_begin2")), -1);
  scale_noise(picture, noise, sigma, arithmetic_, noise);  // in place
  EXPECT_EQ(noise, out);
}

TEST_P(Step, TimestepEqualsDiffusers) {
  const float timestep = make_schedule({}, {.steps = 4, .tokens = 4096}).timesteps[1];
  EXPECT_EQ(pipeline_timestep(timestep, arithmetic_), golden("timestep_over_1000")[0]);
  EXPECT_EQ(embedded_timestep(timestep, arithmetic_), golden("model_timestep")[0]);
}

INSTANTIATE_TEST_SUITE_P(Arithmetics, Step, ::testing::Values(Arithmetic::f32, Arithmetic::bf16),
                         [](const auto& each) {
                           return each.param == Arithmetic::f32 ? "f32" : "bf16";
                         });

// A golden that float arithmetic also meets would say nothing about bfloat16.
TEST(StepBf16, DiffersFromFloatRoundedAtTheEnd) {
  const GoldenFile file("scheduler/euler.safetensors");
  std::vector<float> x = file.floats("bfloat16.sample");
  const std::vector<float> sigmas = file.floats("bfloat16.sigmas");
  euler_step(x, file.floats("bfloat16.velocity"), {.from = sigmas[0], .to = sigmas[1]},
             Arithmetic::f32);
  EXPECT_NE(first_difference(in_bf16(x), file.floats("bfloat16.step0")), -1);
}

TEST(StepBf16, ConditionsAreRoundedOnTheWay) {
  EXPECT_EQ(pipeline_timestep(900.0f, Arithmetic::bf16), 0.8984375f);
  EXPECT_EQ(embedded_timestep(900.0f, Arithmetic::bf16), 900.0f);
  EXPECT_EQ(embedded_guidance(2.5f, Arithmetic::bf16), 2496.0f);
  EXPECT_EQ(embedded_guidance(3.5f, Arithmetic::bf16), 3504.0f);
  EXPECT_EQ(embedded_guidance(4.0f, Arithmetic::bf16), 4000.0f);
  EXPECT_EQ(embedded_guidance(2.5f, Arithmetic::f32), 2500.0f);
}

// Values of torch 2.15 where every rounding shows: a guidance that is no power of two, a sigma
// whose 1 - sigma is no bfloat16, a timestep that is none either.
TEST(StepBf16, RoundsWhereTorchDoes) {
  const std::vector<float> v = in_bf16({0.1f, -1.3f, 2.7f, 0.77f});
  const std::vector<float> n = in_bf16({1.9f, 0.45f, -0.6f, 0.31f});
  std::vector<float> guided = v;
  guide(guided, n, 3.7f, Arithmetic::bf16);
  EXPECT_EQ(guided, (std::vector{-4.75f, -6.03125f, 11.625f, 2.0f}));
  std::vector<float> noisy(4);
  scale_noise(v, n, 0.1f, Arithmetic::bf16, noisy);
  EXPECT_EQ(noisy, (std::vector{0x1.2p-2f, -0x1.1ep+0f, 0x1.2ep+1f, 0x1.72p-1f}));
  EXPECT_EQ(pipeline_timestep(767.2f, Arithmetic::bf16), 0x1.8ap-1f);
  EXPECT_EQ(embedded_timestep(767.2f, Arithmetic::bf16), 768.0f);
  EXPECT_EQ(embedded_timestep(612.5f, Arithmetic::bf16), 612.0f);
  EXPECT_EQ(embedded_timestep(41.7f, Arithmetic::bf16), 41.75f);
}

// Values of (1 - mask) * kept + mask * x in torch 2.15, two tokens of three channels.
TEST(Blend, EqualsTorch) {
  const std::vector<float> painted = {0.1f, -1.3f, 2.7f, 0.333f, 5.01f, -0.77f};
  const std::vector<float> kept = {1.9f, 0.45f, -0.6f, 0.21f, -3.3f, 1.07f};
  const std::vector<float> mask = {0.3f, 0.8125f};
  std::vector<float> x = painted;
  blend(x, kept, mask, Arithmetic::f32);
  EXPECT_EQ(x, (std::vector{0x1.5c28f4p+0f, -0x1.333338p-4f, 0x1.8f5c2cp-2f, 0x1.3d6042p-2f,
                            0x1.b9d70cp+1f, -0x1.b33334p-2f}));

  std::vector<float> narrow = in_bf16(painted);
  blend(narrow, in_bf16(kept), mask, Arithmetic::bf16);
  EXPECT_EQ(narrow, (std::vector{0x1.5cp+0f, -0x1.38p-4f, 0x1.92p-2f, 0x1.3cp-2f, 0x1.b8p+1f,
                                 -0x1.b2p-2f}));
}

TEST(Blend, AMaskOfOneRepaints) {
  const std::vector<float> kept = {5.0f, 6.0f, 7.0f, 8.0f};
  std::vector<float> x = {1.0f, 2.0f, 3.0f, 4.0f};
  blend(x, kept, std::vector{1.0f, 0.0f}, Arithmetic::f32);
  EXPECT_EQ(x, (std::vector{1.0f, 2.0f, 7.0f, 8.0f}));
  std::vector<float> nothing;
  blend(nothing, {}, {}, Arithmetic::f32);
}

}  // namespace
}  // namespace flux2
