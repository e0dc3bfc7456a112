#include "checkpoint/encodings/k_block_encoders.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <span>

#include "checkpoint/encodings/group_fit.h"
#include "tensor/dtype.h"

namespace flux2 {
namespace {

constexpr std::size_t kOffsetGroup = 32;     // of Q4_K and Q5_K
constexpr std::size_t kSymmetricGroup = 16;  // of Q6_K
constexpr std::size_t kOffsetGroups = kSuperBlock / kOffsetGroup;
constexpr std::size_t kSymmetricGroups = kSuperBlock / kSymmetricGroup;
constexpr int kSixBits = 63;

using CodesOfBlock = std::array<std::uint8_t, kSuperBlock>;

void store_half(float value, std::uint8_t* stored) {
  const std::uint16_t bits = float_to_half(value);
  std::memcpy(stored, &bits, sizeof(bits));
}

std::uint8_t six_bits(float value, float inverse) {
  return static_cast<std::uint8_t>(std::clamp(nearest(inverse * value), 0, kSixBits));
}

// What SixBitPairs reads.
void store_pairs(const std::array<std::uint8_t, kOffsetGroups>& scales,
                 const std::array<std::uint8_t, kOffsetGroups>& minima, std::uint8_t* stored) {
  for (std::size_t i = 0; i < 4; ++i) {
    const int late_scale = scales[i + 4], late_minimum = minima[i + 4];
    stored[i] = static_cast<std::uint8_t>(scales[i] | ((late_scale & 48) << 2));
    stored[i + 4] = static_cast<std::uint8_t>(minima[i] | ((late_minimum & 48) << 2));
    stored[i + 8] = static_cast<std::uint8_t>((late_scale & 15) | ((late_minimum & 15) << 4));
  }
}

// The head that Q4_K and Q5_K share (d, dmin, scales and minima), and the codes that go with it.
CodesOfBlock encode_with_offsets(const float* numbers, const OffsetSearch& search,
                                 std::uint8_t* block) {
  std::array<OffsetFit, kOffsetGroups> fits;
  float most_scale = 0, most_minimum = 0;
  for (std::size_t group = 0; group < kOffsetGroups; ++group) {
    fits[group] = fit_with_offset({numbers + group * kOffsetGroup, kOffsetGroup}, search);
    most_scale = std::max(most_scale, fits[group].scale);
    most_minimum = std::max(most_minimum, fits[group].minimum);
  }
  const float to_scale = most_scale > 0 ? kSixBits / most_scale : 0;
  const float to_minimum = most_minimum > 0 ? kSixBits / most_minimum : 0;
  std::array<std::uint8_t, kOffsetGroups> scales, minima;
  for (std::size_t group = 0; group < kOffsetGroups; ++group) {
    scales[group] = six_bits(fits[group].scale, to_scale);
    minima[group] = six_bits(fits[group].minimum, to_minimum);
  }
  store_half(most_scale / kSixBits, block);
  store_half(most_minimum / kSixBits, block + 2);
  store_pairs(scales, minima, block + 4);
  CodesOfBlock codes{};
  for (std::size_t group = 0; group < kOffsetGroups; ++group) {
    const float scale = half_at(block) * static_cast<float>(scales[group]);
    const float minimum = half_at(block + 2) * static_cast<float>(minima[group]);
    if (scale == 0) continue;
    for (std::size_t i = group * kOffsetGroup; i < (group + 1) * kOffsetGroup; ++i) {
      codes[i] = static_cast<std::uint8_t>(
          std::clamp(nearest((numbers[i] + minimum) / scale), 0, search.levels));
    }
  }
  return codes;
}

// Low nibbles: of two groups, byte i holds element i of the first below that of the second.
void store_nibbles(const CodesOfBlock& codes, std::uint8_t* stored) {
  for (std::size_t group = 0; group < kOffsetGroups; group += 2) {
    for (std::size_t i = 0; i < kOffsetGroup; ++i) {
      const int low = codes[group * kOffsetGroup + i] & 15;
      const int high = codes[(group + 1) * kOffsetGroup + i] & 15;
      stored[group / 2 * kOffsetGroup + i] = static_cast<std::uint8_t>(low | (high << 4));
    }
  }
}

}  // namespace

void Q4KEncoder::encode(const float* numbers, std::uint8_t* block) {
  const CodesOfBlock codes = encode_with_offsets(
      numbers, {.levels = 15, .first = -1.0f, .step = 0.1f, .tries = 20}, block);
  store_nibbles(codes, block + 16);
}

void Q5KEncoder::encode(const float* numbers, std::uint8_t* block) {
  const CodesOfBlock codes = encode_with_offsets(
      numbers, {.levels = 31, .first = -0.5f, .step = 0.1f, .tries = 15}, block);
  store_nibbles(codes, block + 48);
  for (std::size_t i = 0; i < kOffsetGroup; ++i) {
    int fifths = 0;  // bit g: of element i of group g
    for (std::size_t group = 0; group < kOffsetGroups; ++group)
      fifths |= (codes[group * kOffsetGroup + i] >> 4) << group;
    block[16 + i] = static_cast<std::uint8_t>(fifths);
  }
}

void Q6KEncoder::encode(const float* numbers, std::uint8_t* block) {
  constexpr int kLevels = 32;
  constexpr float kScaleRange = -128;  // a signed byte; the largest scale takes its negative end
  std::array<float, kSymmetricGroups> fits;
  float most = 0;
  for (std::size_t group = 0; group < kSymmetricGroups; ++group) {
    fits[group] = fit_symmetric({numbers + group * kSymmetricGroup, kSymmetricGroup}, kLevels);
    if (std::abs(fits[group]) > std::abs(most)) most = fits[group];
  }
  std::memset(block, 0, kBytes);
  if (most == 0) return;
  store_half(most / kScaleRange, block + kScaleAt);
  std::uint8_t* scales = block + 192;
  for (std::size_t group = 0; group < kSymmetricGroups; ++group) {
    const auto scale =
        static_cast<std::int8_t>(std::min(127, nearest(kScaleRange / most * fits[group])));
    scales[group] = static_cast<std::uint8_t>(scale);
    const float step = half_at(block + kScaleAt) * static_cast<float>(scale);
    // Where Q6K::decode() looks for these sixteen numbers.
    std::uint8_t* low = block + 64 * (group / 8) + 16 * (group % 4);
    std::uint8_t* high = block + 128 + 32 * (group / 8) + 16 * (group % 2);
    for (std::size_t i = 0; i < kSymmetricGroup; ++i) {
      const float number = numbers[group * kSymmetricGroup + i];
      const int code =
          step == 0 ? kLevels : std::clamp(nearest(number / step), -kLevels, kLevels - 1) + kLevels;
      low[i] = static_cast<std::uint8_t>(low[i] | ((code & 15) << (4 * (group / 4 % 2))));
      high[i] = static_cast<std::uint8_t>(high[i] | ((code >> 4) << (2 * (group / 2 % 4))));
    }
  }
}

}  // namespace flux2
