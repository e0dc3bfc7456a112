#include "models/flux2/modulation.h"

#include <cmath>
#include <vector>

namespace flux2 {
namespace {

constexpr float kTimestepScale = 1000.0f;
constexpr double kLongestPeriod = 10000.0;

Tensor embed(Ops& ops, const EmbedderWeights& weights, std::span<const float> values,
             std::int64_t channels) {
  std::vector<float> scaled(values.begin(), values.end());
  for (float& value : scaled)
    value *= kTimestepScale;
  const Tensor waves = ops.upload(sinusoid(scaled, channels), Role::stream);
  const Tensor hidden = ops.linear(waves, weights.linear_1, Role::stream);
  return ops.linear(ops.activate(hidden, Activation::silu), weights.linear_2, Role::stream);
}

// Chunk `index` of rows of width D.
Tensor chunk(const Tensor& rows, std::int64_t dim, std::int64_t index) {
  return rows.slice(1, index * dim, dim);
}

Modulation modulation_at(const Tensor& rows, std::int64_t dim, std::int64_t first) {
  return {chunk(rows, dim, first), chunk(rows, dim, first + 1), chunk(rows, dim, first + 2)};
}

}  // namespace

Tensor sinusoid(std::span<const float> values, std::int64_t channels) {
  const std::int64_t half = channels / 2;
  const Tensor waves = make_host_tensor({static_cast<std::int64_t>(values.size()), channels});
  for (std::int64_t i = 0; i < half; ++i) {
    const float exponent = static_cast<float>(-std::log(kLongestPeriod)) * static_cast<float>(i) /
                           static_cast<float>(half);
    const float frequency = std::exp(exponent);
    for (std::size_t row = 0; row < values.size(); ++row) {
      const float angle = values[row] * frequency;
      float* wave = waves.f32() + static_cast<std::int64_t>(row) * channels;
      wave[i] = std::cos(angle);
      wave[half + i] = std::sin(angle);
    }
  }
  return waves;
}

StepModulations modulate(Ops& ops, const TransformerWeights& weights,
                         const TransformerConfig& config, std::span<const float> timesteps,
                         std::span<const float> guidance) {
  const std::int64_t d = config.dim();
  StepModulations step;
  step.temb = embed(ops, weights.timestep, timesteps, config.timestep_channels);
  if (config.guidance_embeds && !guidance.empty()) {
    const Tensor extra = embed(ops, weights.guidance, guidance, config.timestep_channels);
    const Shape rows = {extra.dim(0), 1, d};
    ops.add_gated(extra.view(rows), {}, step.temb.view(rows));
  }
  ops.mark("temb", step.temb);

  const Tensor active = ops.activate(step.temb, Activation::silu);
  const Tensor img = ops.linear(active, weights.double_modulation_img, Role::stream);
  const Tensor txt = ops.linear(active, weights.double_modulation_txt, Role::stream);
  const Tensor single = ops.linear(active, weights.single_modulation, Role::stream);
  const Tensor out = ops.linear(active, weights.norm_out, Role::stream);
  ops.mark("mod_double_img", img);
  ops.mark("mod_double_txt", txt);
  ops.mark("mod_single", single);

  step.double_img = {modulation_at(img, d, 0), modulation_at(img, d, 3)};
  step.double_txt = {modulation_at(txt, d, 0), modulation_at(txt, d, 3)};
  step.single = modulation_at(single, d, 0);
  step.out_scale = chunk(out, d, 0);
  step.out_shift = chunk(out, d, 1);
  return step;
}

}  // namespace flux2
