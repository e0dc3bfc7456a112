#include "models/flux2/rope.h"

#include <cmath>

namespace flux2 {

RopeTable make_rope(Ops& ops, const TransformerConfig& config,
                    std::span<const Position> positions) {
  const auto tokens = static_cast<std::int64_t>(positions.size());
  const Tensor cos = make_host_tensor({tokens, config.head_dim / 2});
  const Tensor sin = make_host_tensor(cos.shape());
  std::int64_t column = 0;
  for (std::size_t axis = 0; axis < config.rope_axes.size(); ++axis) {
    const std::int64_t width = config.rope_axes[axis];
    for (std::int64_t i = 0; i < width / 2; ++i, ++column) {
      const double frequency = 1.0 / std::pow(config.rope_theta, static_cast<double>(2 * i) /
                                                                     static_cast<double>(width));
      for (std::int64_t token = 0; token < tokens; ++token) {
        const auto position = static_cast<double>(positions[static_cast<std::size_t>(token)][axis]);
        const std::int64_t at = token * cos.stride(0) + column;
        cos.f32()[at] = static_cast<float>(std::cos(position * frequency));
        sin.f32()[at] = static_cast<float>(std::sin(position * frequency));
      }
    }
  }
  return {ops.upload(cos, Role::stream), ops.upload(sin, Role::stream)};
}

}  // namespace flux2
