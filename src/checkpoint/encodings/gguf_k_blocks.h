#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tensor/dtype.h"

namespace flux2 {

inline constexpr int kSuperBlock = 256;

/// What the nibbles of IQ4_NL and IQ4_XS stand for (ggml-common.h, kvalues_iq4nl).
inline constexpr float kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                         1,    13,   25,  38,  53,  69,  89,  113};

/// The half at `stored`, which may be unaligned.
inline float half_at(const std::uint8_t* stored) {
  std::uint16_t bits;
  std::memcpy(&bits, stored, sizeof(bits));
  return half_to_float(bits);
}

/// A copy of `size` bytes. Bytes may alias anything, also the floats that a loop writes; a copy on
/// the stack cannot, so that the loop becomes vector code without checks.
template <std::size_t size>
std::array<std::uint8_t, size> bytes_at(const std::uint8_t* stored) {
  std::array<std::uint8_t, size> bytes;
  std::memcpy(bytes.data(), stored, size);
  return bytes;
}

/// Blocks one after another.
template <typename Format, int kElements>
void decode_blocks(const std::byte* stored, std::int64_t blocks, float* numbers) {
  const auto* block = reinterpret_cast<const std::uint8_t*>(stored);
  for (std::int64_t i = 0; i < blocks; ++i)
    Format::decode(block + i * Format::kBytes, numbers + i * kElements);
}

// Super-blocks of 256: small integer scales for groups of 16 or 32, and one or two halves that
// scale those. decode() writes 256 numbers.

/// W = (d s) q - (dmin m)        s and m[16] as nibbles, q[64], d, dmin; groups of 16
struct Q2K {
  static constexpr std::int64_t kBytes = 84;
  static constexpr std::int64_t kScaleAt = 80;
  static void decode(const std::uint8_t* block, float* numbers);
};

/// W = (d s) q                   high bits[32], q[64], s[12], d; groups of 16
struct Q3K {
  static constexpr std::int64_t kBytes = 110;
  static constexpr std::int64_t kScaleAt = 108;
  static void decode(const std::uint8_t* block, float* numbers);
};

/// W = (d s) q - (dmin m)        d, dmin, s and m[12], q[128]; groups of 32
struct Q4K {
  static constexpr std::int64_t kBytes = 144;
  static constexpr std::int64_t kScaleAt = 0;
  static void decode(const std::uint8_t* block, float* numbers);
};

/// W = (d s) q - (dmin m)        d, dmin, s and m[12], fifth bits[32], q[128]; groups of 32
struct Q5K {
  static constexpr std::int64_t kBytes = 176;
  static constexpr std::int64_t kScaleAt = 0;
  static void decode(const std::uint8_t* block, float* numbers);
};

/// W = (d s) (q - 32)            low nibbles[128], high pairs[64], s[16] signed, d; groups of 16
struct Q6K {
  static constexpr std::int64_t kBytes = 210;
  static constexpr std::int64_t kScaleAt = 208;
  static void decode(const std::uint8_t* block, float* numbers);
};

/// W = (d (s - 32)) table[q]     d, high pairs of s[2], low nibbles of s[4], q[128]; groups of 32
struct Iq4Xs {
  static constexpr std::int64_t kBytes = 136;
  static constexpr std::int64_t kScaleAt = 0;
  static void decode(const std::uint8_t* block, float* numbers);
};

}  // namespace flux2
