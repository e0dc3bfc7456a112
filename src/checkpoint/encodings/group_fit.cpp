#include "checkpoint/encodings/group_fit.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstdint>

namespace flux2 {
namespace {

constexpr std::size_t kMostNumbers = 32;
// Groups whose largest magnitude is below this are zeros (ggml-quants.c, GROUP_MAX_EPS).
constexpr float kNothing = 1e-15f;

using Codes = std::array<float, kMostNumbers>;
using Weights = std::array<float, kMostNumbers>;

Weights weights_by_magnitude(std::span<const float> numbers) {
  float squares = 0;
  for (const float number : numbers)
    squares += number * number;
  const float typical = std::sqrt(squares / static_cast<float>(numbers.size()));
  Weights weights{};
  for (std::size_t i = 0; i < numbers.size(); ++i)
    weights[i] = typical + std::abs(numbers[i]);
  return weights;
}

// Weighted sums of a regression of numbers x on codes l.
struct LineSums {
  float weight = 0, x = 0, l = 0, l2 = 0, xl = 0;

  void add(float w, float number, float code) {
    weight += w;
    x += w * number;
    l += w * code;
    l2 += w * code * code;
    xl += w * number * code;
  }
  /// No line where all codes are one; the minimum is kept from turning negative.
  bool fit(OffsetFit& line) const {
    const float determinant = weight * l2 - l * l;
    if (determinant <= 0) return false;
    line.scale = (weight * xl - x * l) / determinant;
    float offset = (l2 * x - l * xl) / determinant;
    if (offset > 0) {
      offset = 0;
      line.scale = xl / l2;
    }
    line.minimum = -offset;
    return true;
  }
};

float squared_error(std::span<const float> numbers, const Codes& codes, const Weights& weights,
                    const OffsetFit& line) {
  float error = 0;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const float difference = line.scale * codes[i] - line.minimum - numbers[i];
    error += weights[i] * difference * difference;
  }
  return error;
}

Codes codes_for(std::span<const float> numbers, float least, float inverse, int levels) {
  Codes codes{};
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    codes[i] = static_cast<float>(std::clamp(nearest(inverse * (numbers[i] - least)), 0, levels));
  }
  return codes;
}

}  // namespace

int nearest(float number) {
  // Added to 1.5 x 2^23, the whole part of a number is what is left of the mantissa.
  constexpr float kShift = 12'582'912.0f;
  constexpr float kMost = 4e6f;
  const float shifted = std::clamp(number, -kMost, kMost) + kShift;
  return std::bit_cast<std::int32_t>(shifted) - std::bit_cast<std::int32_t>(kShift);
}

OffsetFit fit_with_offset(std::span<const float> numbers, const OffsetSearch& search) {
  assert(!numbers.empty() && numbers.size() <= kMostNumbers);
  const auto [low, high] = std::minmax_element(numbers.begin(), numbers.end());
  const float least = std::min(*low, 0.0f);
  const float range = *high - least;
  if (range <= 0) return {.scale = 0, .minimum = -least};
  const Weights weights = weights_by_magnitude(numbers);
  const auto levels = static_cast<float>(search.levels);
  OffsetFit best = {.scale = range / levels, .minimum = -least};
  float best_error = squared_error(
      numbers, codes_for(numbers, least, levels / range, search.levels), weights, best);
  for (int i = 0; i <= search.tries; ++i) {
    const float inverse = (search.first + search.step * static_cast<float>(i) + levels) / range;
    const Codes codes = codes_for(numbers, least, inverse, search.levels);
    LineSums sums;
    for (std::size_t k = 0; k < numbers.size(); ++k)
      sums.add(weights[k], numbers[k], codes[k]);
    OffsetFit line;
    if (!sums.fit(line)) continue;
    const float error = squared_error(numbers, codes, weights, line);
    if (error >= best_error) continue;
    best = line;
    best_error = error;
  }
  return best;
}

float fit_symmetric(std::span<const float> numbers, int levels) {
  constexpr int kTries = 9;  // on either side
  constexpr float kStep = 0.1f;
  const float most = *std::max_element(numbers.begin(), numbers.end(),
                                       [](float a, float b) { return std::abs(a) < std::abs(b); });
  if (std::abs(most) < kNothing) return 0;
  float scale = 0, best = 0;
  // A regression lowers the error by (sum w x l)^2 / (sum w l^2).
  const auto attempt = [&](int shift) {
    const float inverse = -(static_cast<float>(levels) + kStep * static_cast<float>(shift)) / most;
    float xl = 0, l2 = 0;
    for (const float number : numbers) {
      const auto code =
          static_cast<float>(std::clamp(nearest(inverse * number), -levels, levels - 1));
      xl += number * number * number * code;
      l2 += number * number * code * code;
    }
    if (l2 <= 0 || (scale != 0 && xl * xl <= best * l2)) return;
    scale = xl / l2;
    best = scale * xl;
  };
  attempt(0);
  for (int shift = -kTries; shift <= kTries; ++shift)
    if (shift != 0) attempt(shift);
  return scale;
}

}  // namespace flux2
