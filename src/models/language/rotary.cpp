#include "models/language/rotary.h"

#include <cmath>
#include <cstddef>

namespace flux2 {

// transformers: inv_freq = 1.0 / base ** (arange(0, d, 2).float() / d), all in float32. The power
// is taken in double and rounded, which is what a correctly rounded float power gives.
std::vector<float> rope_frequencies(std::int64_t head_dim, double theta) {
  std::vector<float> frequencies(static_cast<std::size_t>(head_dim / 2));
  const double base = static_cast<float>(theta);
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(head_dim);
    frequencies[i] = 1.0f / static_cast<float>(std::pow(base, static_cast<double>(exponent)));
  }
  return frequencies;
}

RopeTable make_rope_table(Ops& ops, const std::vector<float>& angles, std::int64_t tokens) {
  const Shape shape = {tokens, static_cast<std::int64_t>(angles.size()) / tokens};
  const Tensor cosines = make_host_tensor(shape);
  const Tensor sines = make_host_tensor(shape);
  for (std::size_t i = 0; i < angles.size(); ++i) {
    cosines.f32()[i] = std::cos(angles[i]);
    sines.f32()[i] = std::sin(angles[i]);
  }
  return {ops.upload(cosines, Role::stream), ops.upload(sines, Role::stream)};
}

RopeTable make_text_rope(Ops& ops, std::int64_t tokens, std::int64_t head_dim, double theta) {
  const std::vector<float> frequencies = rope_frequencies(head_dim, theta);
  std::vector<float> angles;
  angles.reserve(static_cast<std::size_t>(tokens) * frequencies.size());
  for (std::int64_t position = 0; position < tokens; ++position) {
    for (const float frequency : frequencies)
      angles.push_back(static_cast<float>(position) * frequency);
  }
  return make_rope_table(ops, angles, tokens);
}

}  // namespace flux2
