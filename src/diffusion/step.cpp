#include "diffusion/step.h"

#include <cassert>
#include <cstddef>

#include "tensor/dtype.h"

namespace flux2 {
namespace {

struct KeepFloat {
  float operator()(float value) const { return value; }
};
struct RoundToBf16 {
  float operator()(float value) const { return round_to_bf16(value); }
};

// Calls body(round) with the rounding of `arithmetic` as a type, so that loops over it vectorise.
template <typename Body>
auto with_rounding(Arithmetic arithmetic, Body body) {
  return arithmetic == Arithmetic::bf16 ? body(RoundToBf16{}) : body(KeepFloat{});
}

// The pipelines divide by this whatever num_train_timesteps says, and the transformer multiplies.
constexpr float kTimestepScale = 1000.0f;

}  // namespace

// PyTorch rounds a 0-dimensional operand (to - from) to the other's dtype; the scheduler itself
// widens x to float before it adds.
void euler_step(std::span<float> x, std::span<const float> v, SigmaStep sigma,
                Arithmetic arithmetic) {
  assert(x.size() == v.size());
  with_rounding(arithmetic, [&](auto round) {
    const float dt = round(sigma.to - sigma.from);
    for (std::size_t i = 0; i < x.size(); ++i)
      x[i] = round(x[i] + round(dt * v[i]));
  });
}

void guide(std::span<float> v, std::span<const float> n, float guidance, Arithmetic arithmetic) {
  assert(v.size() == n.size());
  with_rounding(arithmetic, [&](auto round) {
    for (std::size_t i = 0; i < v.size(); ++i)
      v[i] = round(n[i] + round(guidance * round(v[i] - n[i])));
  });
}

void scale_noise(std::span<const float> x, std::span<const float> noise, float sigma,
                 Arithmetic arithmetic, std::span<float> out) {
  assert(x.size() == noise.size() && x.size() == out.size());
  with_rounding(arithmetic, [&](auto round) {
    const float noise_part = round(sigma);
    const float picture_part = round(1.0f - noise_part);
    for (std::size_t i = 0; i < x.size(); ++i)
      out[i] = round(round(noise_part * noise[i]) + round(picture_part * x[i]));
  });
}

void blend(std::span<float> x, std::span<const float> kept, std::span<const float> mask,
           Arithmetic arithmetic) {
  assert(x.size() == kept.size());
  if (mask.empty()) return;
  assert(x.size() % mask.size() == 0);
  const std::size_t width = x.size() / mask.size();
  with_rounding(arithmetic, [&](auto round) {
    for (std::size_t token = 0; token < mask.size(); ++token) {
      const float painted = round(mask[token]);
      const float untouched = round(1.0f - painted);
      for (std::size_t i = token * width; i < (token + 1) * width; ++i)
        x[i] = round(round(untouched * kept[i]) + round(painted * x[i]));
    }
  });
}

float pipeline_timestep(float timestep, Arithmetic arithmetic) {
  return with_rounding(arithmetic,
                       [=](auto round) { return round(round(timestep) / kTimestepScale); });
}

float embedded_timestep(float timestep, Arithmetic arithmetic) {
  const float given = pipeline_timestep(timestep, arithmetic);
  return with_rounding(arithmetic, [=](auto round) { return round(given * kTimestepScale); });
}

float embedded_guidance(float guidance, Arithmetic arithmetic) {
  return with_rounding(arithmetic,
                       [=](auto round) { return round(round(guidance) * kTimestepScale); });
}

}  // namespace flux2
