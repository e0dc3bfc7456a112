// GGUF's blocks, written plainly: scales from the largest numbers of a group, codes rounded to
// nearest. llama.cpp searches for better scales; the bytes lie in the same order.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "matrix_writers.h"

namespace flux2::test {
namespace {

using Codes = std::vector<std::uint8_t>;

constexpr std::size_t kBlock = 32;
constexpr std::size_t kSuper = 256;

// A number of 16 bits: its value, and its bytes at the end of `bytes`.
float put_half(std::string& bytes, float value) {
  const std::uint16_t half = float_to_half(value);
  bytes.append(reinterpret_cast<const char*>(&half), sizeof(half));
  return half_to_float(half);
}

// Codes of `bits` bits: in each run of bytes lie 8 / bits groups of `group` codes, the first in the
// lowest bits.
std::string planes(const Codes& codes, std::size_t bits, std::size_t group) {
  const std::size_t planes = 8 / bits;
  std::string bytes(codes.size() / planes, '\0');
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const std::size_t run = i / (group * planes), plane = i / group % planes;
    char& byte = bytes[run * group + i % group];
    byte = static_cast<char>(byte | (codes[i] << (plane * bits)));
  }
  return bytes;
}

Codes shifted(const Codes& codes, unsigned by, unsigned mask) {
  Codes result(codes.size());
  for (std::size_t i = 0; i < codes.size(); ++i)
    result[i] = static_cast<std::uint8_t>((codes[i] >> by) & mask);
  return result;
}

float ratio(float x, float step) {
  return step == 0 ? 0 : x / step;
}
float nearest(float x, float least, float most) {
  return std::clamp(std::nearbyint(x), least, most);
}
float largest(const float* x, std::size_t count) {
  float most = 0;
  for (std::size_t i = 0; i < count; ++i)
    most = std::max(most, std::abs(x[i]));
  return most;
}

// x = d (q - Half), of Bits bits.
template <int Bits, int Half>
std::string centred(const float* x, float* meaning) {
  std::string bytes;
  const float d = put_half(bytes, largest(x, kBlock) / (Half - 1));
  Codes codes(kBlock);
  for (std::size_t i = 0; i < kBlock; ++i) {
    const float q = nearest(ratio(x[i], d), -Half, Half - 1);
    meaning[i] = d * q;
    codes[i] = static_cast<std::uint8_t>(static_cast<int>(q) + (Bits == 8 ? 0 : Half));
  }
  if (Bits == 8) return bytes + std::string(codes.begin(), codes.end());
  if (Bits == 5) bytes += planes(shifted(codes, 4, 1), 1, 1);
  return bytes + planes(shifted(codes, 0, 15), 4, kBlock / 2);
}

// x = d q + m, of Bits bits.
template <int Bits>
std::string with_offset(const float* x, float* meaning) {
  constexpr float kMost = (1 << Bits) - 1;
  const auto [low, high] = std::minmax_element(x, x + kBlock);
  std::string bytes;
  const float d = put_half(bytes, (*high - *low) / kMost);
  const float m = put_half(bytes, *low);
  Codes codes(kBlock);
  for (std::size_t i = 0; i < kBlock; ++i) {
    const float q = nearest(ratio(x[i] - m, d), 0, kMost);
    meaning[i] = d * q + m;
    codes[i] = static_cast<std::uint8_t>(q);
  }
  if (Bits == 5) bytes += planes(shifted(codes, 4, 1), 1, 1);
  return bytes + planes(shifted(codes, 0, 15), 4, kBlock / 2);
}

// A super-block of x = (d s) q - (dmin m), a scale and a minimum for each group.
struct WithMinima {
  Codes codes = Codes(kSuper), scales, minima;
  std::string d, dmin;

  WithMinima(const float* x, std::size_t groups, float most_code, float most_scale, float* meaning)
      : scales(groups), minima(groups) {
    const std::size_t size = kSuper / groups;
    std::vector<float> steps(groups), lows(groups);
    for (std::size_t g = 0; g < groups; ++g) {
      const auto [low, high] = std::minmax_element(x + g * size, x + (g + 1) * size);
      lows[g] = -std::min(*low, 0.0F);
      steps[g] = (*high + lows[g]) / most_code;
    }
    const float of_scales = put_half(d, largest(steps.data(), groups) / most_scale);
    const float of_minima = put_half(dmin, largest(lows.data(), groups) / most_scale);
    for (std::size_t g = 0; g < groups; ++g) {
      const float s = std::clamp(std::ceil(ratio(steps[g], of_scales)), 0.0F, most_scale);
      const float m = nearest(ratio(lows[g], of_minima), 0, most_scale);
      scales[g] = static_cast<std::uint8_t>(s);
      minima[g] = static_cast<std::uint8_t>(m);
      for (std::size_t i = g * size; i < (g + 1) * size; ++i) {
        const float q = nearest(ratio(x[i] + of_minima * m, of_scales * s), 0, most_code);
        codes[i] = static_cast<std::uint8_t>(q);
        meaning[i] = of_scales * s * q - of_minima * m;
      }
    }
  }

  // Eight scales and minima of six bits in twelve bytes.
  std::string six_bits() const {
    std::string bytes(12, '\0');
    for (std::size_t g = 0; g < 4; ++g) {
      bytes[g] = static_cast<char>((scales[g] & 63) | ((scales[g + 4] >> 4) << 6));
      bytes[g + 4] = static_cast<char>((minima[g] & 63) | ((minima[g + 4] >> 4) << 6));
      bytes[g + 8] = static_cast<char>((scales[g + 4] & 15) | ((minima[g + 4] & 15) << 4));
    }
    return bytes;
  }
};

std::string q2_k(const float* x, float* meaning) {
  const WithMinima block(x, 16, 3, 15, meaning);
  std::string scales(16, '\0');
  for (std::size_t g = 0; g < 16; ++g)
    scales[g] = static_cast<char>(block.scales[g] | (block.minima[g] << 4));
  return scales + planes(block.codes, 2, 32) + block.d + block.dmin;
}

std::string q4_k(const float* x, float* meaning) {
  const WithMinima block(x, 8, 15, 63, meaning);
  return block.d + block.dmin + block.six_bits() + planes(block.codes, 4, 32);
}

std::string q5_k(const float* x, float* meaning) {
  const WithMinima block(x, 8, 31, 63, meaning);
  return block.d + block.dmin + block.six_bits() + planes(shifted(block.codes, 4, 1), 1, 32) +
         planes(shifted(block.codes, 0, 15), 4, 32);
}

constexpr std::array<float, 16> kTable = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};

std::size_t nearest_in_table(float x) {
  const auto nearer = [x](float a, float b) { return std::abs(a - x) < std::abs(b - x); };
  return static_cast<std::size_t>(std::min_element(kTable.begin(), kTable.end(), nearer) -
                                  kTable.begin());
}

std::string iq4_nl(const float* x, float* meaning) {
  std::string bytes;
  const float d = put_half(bytes, largest(x, kBlock) / kTable.back());
  Codes codes(kBlock);
  for (std::size_t i = 0; i < kBlock; ++i) {
    codes[i] = static_cast<std::uint8_t>(nearest_in_table(ratio(x[i], d)));
    meaning[i] = d * kTable[codes[i]];
  }
  return bytes + planes(codes, 4, 16);
}

// A super-block of x = (d s) q, s a whole number for each group.
struct Symmetric {
  std::vector<int> scales;
  std::vector<float> steps;  // d s
  std::string d;

  Symmetric(const float* x, std::size_t groups, float most_code, float most_scale)
      : scales(groups), steps(groups) {
    const std::size_t size = kSuper / groups;
    for (std::size_t g = 0; g < groups; ++g)
      steps[g] = largest(x + g * size, size) / most_code;
    const float of_scales = put_half(d, largest(steps.data(), groups) / most_scale);
    for (std::size_t g = 0; g < groups; ++g) {
      const float s = std::clamp(std::ceil(ratio(steps[g], of_scales)), 0.0F, most_scale);
      scales[g] = static_cast<int>(s);
      steps[g] = of_scales * s;
    }
  }

  // Codes from -half to half - 1, kept as numbers from 0 on.
  Codes codes(const float* x, float half, float* meaning) const {
    Codes codes(kSuper);
    for (std::size_t i = 0; i < kSuper; ++i) {
      const float step = steps[i / (kSuper / steps.size())];
      const float q = nearest(ratio(x[i], step), -half, half - 1);
      meaning[i] = step * q;
      codes[i] = static_cast<std::uint8_t>(q + half);
    }
    return codes;
  }
};

std::string q3_k(const float* x, float* meaning) {
  const Symmetric block(x, 16, 4, 31);
  const Codes codes = block.codes(x, 4, meaning);
  std::string scales(12, '\0');  // six bits around 32
  for (std::size_t g = 0; g < 16; ++g) {
    const int scale = block.scales[g] + 32;
    char& low = scales[g % 8];
    low = static_cast<char>(low | ((scale & 15) << (g < 8 ? 0 : 4)));
    char& high = scales[8 + g % 4];
    high = static_cast<char>(high | ((scale >> 4) << (2 * (g / 4))));
  }
  return planes(shifted(codes, 2, 1), 1, 32) + planes(shifted(codes, 0, 3), 2, 32) + scales +
         block.d;
}

std::string q6_k(const float* x, float* meaning) {
  const Symmetric block(x, 16, 32, 127);
  const Codes codes = block.codes(x, 32, meaning);
  return planes(shifted(codes, 0, 15), 4, 64) + planes(shifted(codes, 4, 3), 2, 32) +
         std::string(block.scales.begin(), block.scales.end()) + block.d;
}

std::string iq4_xs(const float* x, float* meaning) {
  const Symmetric block(x, 8, kTable.back(), 31);
  Codes codes(kSuper);
  std::string low(4, '\0');
  unsigned high = 0;
  for (std::size_t g = 0; g < 8; ++g) {
    const auto scale = static_cast<unsigned>(block.scales[g] + 32);
    low[g / 2] = static_cast<char>(low[g / 2] | ((scale & 15) << (4 * (g % 2))));
    high |= (scale >> 4) << (2 * g);
    for (std::size_t i = 32 * g; i < 32 * (g + 1); ++i) {
      codes[i] = static_cast<std::uint8_t>(nearest_in_table(ratio(x[i], block.steps[g])));
      meaning[i] = block.steps[g] * kTable[codes[i]];
    }
  }
  const std::string high_bytes = {static_cast<char>(high & 255), static_cast<char>(high >> 8)};
  return block.d + high_bytes + low + planes(codes, 4, 16);
}

}  // namespace

std::vector<BlockWriter> block_writers() {
  return {{"Q4_0", 0.2, 2, kBlock, centred<4, 8>},    {"Q4_1", 0.15, 3, kBlock, with_offset<4>},
          {"Q5_0", 0.1, 6, kBlock, centred<5, 16>},   {"Q5_1", 0.08, 7, kBlock, with_offset<5>},
          {"Q8_0", 0.01, 8, kBlock, centred<8, 128>}, {"Q2_K", 0.45, 10, kSuper, q2_k},
          {"Q3_K", 0.25, 11, kSuper, q3_k},           {"Q4_K", 0.12, 12, kSuper, q4_k},
          {"Q5_K", 0.06, 13, kSuper, q5_k},           {"Q6_K", 0.03, 14, kSuper, q6_k},
          {"IQ4_NL", 0.13, 20, kBlock, iq4_nl},       {"IQ4_XS", 0.13, 23, kSuper, iq4_xs}};
}

}  // namespace flux2::test
