#include "checkpoint/encodings/gguf_k_blocks.h"

#include <array>

namespace flux2 {
namespace {

// Six-bit scales and minima of eight groups in twelve bytes: the first four of each lie in the low
// bits of bytes 0 to 3 and 4 to 7, whose upper pairs are the upper pairs of the last four; their
// low nibbles are bytes 8 to 11, scale below minimum.
struct SixBitPairs {
  std::array<std::uint8_t, 8> scale;
  std::array<std::uint8_t, 8> minimum;

  explicit SixBitPairs(const std::uint8_t* stored) {
    for (std::size_t i = 0; i < 4; ++i) {
      scale[i] = stored[i] & 63;
      minimum[i] = stored[i + 4] & 63;
      scale[i + 4] = static_cast<std::uint8_t>((stored[i + 8] & 15) | ((stored[i] >> 2) & 48));
      minimum[i + 4] =
          static_cast<std::uint8_t>((stored[i + 8] >> 4) | ((stored[i + 4] >> 2) & 48));
    }
  }
};

// Sixteen six-bit scales in twelve bytes: low nibbles of bytes 0 to 7, then their high nibbles;
// the upper pairs are bits 0-1 of bytes 8 to 11, then bits 2-3, ...
std::array<std::int8_t, 16> sixteen_scales(const std::uint8_t* stored) {
  std::array<std::int8_t, 16> scales;
  for (int i = 0; i < 16; ++i) {
    const int low = (stored[i % 8] >> (4 * (i / 8))) & 15;
    const int high = (stored[8 + i % 4] >> (2 * (i / 4))) & 3;
    scales[static_cast<std::size_t>(i)] = static_cast<std::int8_t>((low | (high << 4)) - 32);
  }
  return scales;
}

}  // namespace

void Q2K::decode(const std::uint8_t* block, float* numbers) {
  const std::uint8_t* scales = block;
  const float d = half_at(block + kScaleAt);
  const float dmin = half_at(block + 82);
  for (int group = 0; group < 16; ++group) {
    const float scale = d * static_cast<float>(scales[group] & 15);
    const float minimum = dmin * static_cast<float>(scales[group] >> 4);
    const auto q = bytes_at<16>(block + 16 + 32 * (group / 8) + 16 * (group % 2));
    const int shift = 2 * (group / 2 % 4);
    float* out = numbers + 16 * group;
    for (std::size_t i = 0; i < 16; ++i)
      out[i] = scale * static_cast<float>((q[i] >> shift) & 3) - minimum;
  }
}

void Q3K::decode(const std::uint8_t* block, float* numbers) {
  const std::array<std::int8_t, 16> scales = sixteen_scales(block + 96);
  const float d = half_at(block + kScaleAt);
  for (int group = 0; group < 16; ++group) {
    const float scale = d * static_cast<float>(scales[static_cast<std::size_t>(group)]);
    const auto q = bytes_at<16>(block + 32 + 32 * (group / 8) + 16 * (group % 2));
    const auto high = bytes_at<16>(block + 16 * (group % 2));
    const int shift = 2 * (group / 2 % 4);
    float* out = numbers + 16 * group;
    for (std::size_t i = 0; i < 16; ++i) {
      const int below = ((high[i] >> (group / 2)) & 1) == 0 ? 4 : 0;  // a set bit adds nothing
      out[i] = scale * static_cast<float>(((q[i] >> shift) & 3) - below);
    }
  }
}

void Q4K::decode(const std::uint8_t* block, float* numbers) {
  const float d = half_at(block);
  const float dmin = half_at(block + 2);
  const SixBitPairs pairs(block + 4);
  for (std::size_t group = 0; group < 8; group += 2) {
    const float scale = d * static_cast<float>(pairs.scale[group]);
    const float next_scale = d * static_cast<float>(pairs.scale[group + 1]);
    const float minimum = dmin * static_cast<float>(pairs.minimum[group]);
    const float next_minimum = dmin * static_cast<float>(pairs.minimum[group + 1]);
    const auto q = bytes_at<32>(block + 16 + 16 * group);
    float* out = numbers + 32 * group;
    for (std::size_t i = 0; i < 32; ++i) {
      out[i] = scale * static_cast<float>(q[i] & 15) - minimum;
      out[i + 32] = next_scale * static_cast<float>(q[i] >> 4) - next_minimum;
    }
  }
}

void Q5K::decode(const std::uint8_t* block, float* numbers) {
  const float d = half_at(block);
  const float dmin = half_at(block + 2);
  const SixBitPairs pairs(block + 4);
  const auto high = bytes_at<32>(block + 16);
  for (std::size_t group = 0; group < 8; group += 2) {
    const float scale = d * static_cast<float>(pairs.scale[group]);
    const float next_scale = d * static_cast<float>(pairs.scale[group + 1]);
    const float minimum = dmin * static_cast<float>(pairs.minimum[group]);
    const float next_minimum = dmin * static_cast<float>(pairs.minimum[group + 1]);
    const auto q = bytes_at<32>(block + 48 + 16 * group);
    float* out = numbers + 32 * group;
    for (std::size_t i = 0; i < 32; ++i) {
      const int fifth = (high[i] >> group) << 4;
      const int next_fifth = (high[i] >> (group + 1)) << 4;
      out[i] = scale * static_cast<float>((q[i] & 15) | (fifth & 16)) - minimum;
      out[i + 32] = next_scale * static_cast<float>((q[i] >> 4) | (next_fifth & 16)) - next_minimum;
    }
  }
}

void Q6K::decode(const std::uint8_t* block, float* numbers) {
  const float d = half_at(block + kScaleAt);
  for (int group = 0; group < 16; ++group) {
    const float scale = d * static_cast<float>(static_cast<std::int8_t>(block[192 + group]));
    // Of 128 numbers, the first 64 have their low bits in low nibbles, the others in high ones.
    const int half = group / 8;
    const auto low = bytes_at<16>(block + 64 * half + 16 * (group % 4));
    const auto high = bytes_at<16>(block + 128 + 32 * half + 16 * (group % 2));
    const int low_shift = 4 * (group / 4 % 2);
    const int high_shift = 2 * (group / 2 % 4);
    float* out = numbers + 16 * group;
    for (std::size_t i = 0; i < 16; ++i) {
      const int q = ((low[i] >> low_shift) & 15) | (((high[i] >> high_shift) & 3) << 4);
      out[i] = scale * static_cast<float>(q - 32);
    }
  }
}

void Iq4Xs::decode(const std::uint8_t* block, float* numbers) {
  const float d = half_at(block);
  const int high = block[2] | (block[3] << 8);
  for (int group = 0; group < 8; ++group) {
    const int low = (block[4 + group / 2] >> (4 * (group % 2))) & 15;
    const float scale = d * static_cast<float>((low | (((high >> (2 * group)) & 3) << 4)) - 32);
    const auto q = bytes_at<16>(block + 8 + 16 * group);
    float* out = numbers + 32 * group;
    for (std::size_t i = 0; i < 16; ++i) {
      out[i] = scale * kIq4Values[q[i] & 15];
      out[i + 16] = scale * kIq4Values[q[i] >> 4];
    }
  }
}

}  // namespace flux2
