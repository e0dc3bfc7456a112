#include "models/flux2/config.h"

#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "flux2/error.h"

namespace flux2 {
namespace {

constexpr std::int64_t kMostLayers = 4096;
constexpr std::int64_t kMostWidth = 1 << 20;
constexpr std::size_t kRopeAxes = 4;

void check(const TransformerConfig& config, const ConfigFile& file) {
  const auto rotary =
      std::accumulate(config.rope_axes.begin(), config.rope_axes.end(), std::int64_t{0});
  if (config.rope_axes.size() != kRopeAxes || rotary != config.head_dim) {
    throw Error(ErrorCode::bad_file,
                fmt::format("axes_dims_rope must be {} widths that add up to attention_head_dim {}",
                            kRopeAxes, config.head_dim),
                file.name());
  }
  for (const std::int64_t axis : config.rope_axes) {
    if (axis % 2 != 0) {
      throw Error(ErrorCode::bad_file, fmt::format("axes_dims_rope holds an odd width: {}", axis),
                  file.name());
    }
  }
  if (config.timestep_channels % 2 != 0) {
    throw Error(ErrorCode::bad_file, "timestep_guidance_channels must be even", file.name());
  }
}

}  // namespace

TransformerConfig TransformerConfig::read(const ConfigFile& file) {
  TransformerConfig config;
  config.in_channels = file.integer("in_channels", 1, kMostWidth, config.in_channels);
  config.out_channels = file.integer("out_channels", 1, kMostWidth, config.in_channels);
  config.double_blocks = file.integer("num_layers", 0, kMostLayers, config.double_blocks);
  config.single_blocks = file.integer("num_single_layers", 0, kMostLayers, config.single_blocks);
  config.heads = file.integer("num_attention_heads", 1, 1024, config.heads);
  config.head_dim = file.integer("attention_head_dim", 2, 1024, config.head_dim);
  config.text_dim = file.integer("joint_attention_dim", 1, kMostWidth, config.text_dim);
  config.timestep_channels =
      file.integer("timestep_guidance_channels", 2, kMostWidth, config.timestep_channels);
  const double mlp_ratio = file.number("mlp_ratio", 1e-3, 64, 3.0);
  config.mlp_hidden = static_cast<std::int64_t>(static_cast<double>(config.dim()) * mlp_ratio);
  config.rope_axes = file.integers("axes_dims_rope", 0, 1024, config.rope_axes);
  config.rope_theta = file.number("rope_theta", 1, 1e12, config.rope_theta);
  config.eps = static_cast<float>(file.number("eps", 1e-12, 1, 1e-6));
  config.guidance_embeds = file.flag("guidance_embeds", config.guidance_embeds);
  if (file.integer("patch_size", 1, 64, 1) != 1) {
    throw Error(ErrorCode::bad_file, "only patch_size 1 exists in FLUX.2", file.name());
  }
  check(config, file);
  return config;
}

}  // namespace flux2
