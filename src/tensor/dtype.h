#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace flux2 {

/// Element types that a tensor in memory or in a file can have.
enum class DType : std::uint8_t {
  f32,
  f16,
  bf16,
  f8_e4m3,
  f8_e5m2,
  f64,
  i64,
  i32,
  i16,
  i8,
  u8,
  boolean
};

/// Bytes of one element.
std::size_t size_of(DType dtype);
/// "F32", "BF16", "F8_E4M3", ...: the safetensors spelling.
std::string_view name_of(DType dtype);
/// True for the types whose elements are real numbers.
bool is_floating(DType dtype);

/// bfloat16: the upper half of a float. Only storage; arithmetic is done in float.
struct BFloat16 {
  std::uint16_t bits = 0;

  BFloat16() = default;
  /// Rounds to nearest, ties to even; NaN stays NaN.
  explicit BFloat16(float value) {
    const auto word = std::bit_cast<std::uint32_t>(value);
    const bool nan = (word & 0x7FFFFFFFu) > 0x7F800000u;
    const std::uint32_t rounded = word + 0x7FFFu + ((word >> 16) & 1u);
    bits = static_cast<std::uint16_t>(nan ? (word >> 16) | 0x40u : rounded >> 16);
  }
  explicit operator float() const {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  }
};

/// The value of `value` after a round trip through bfloat16.
inline float round_to_bf16(float value) {
  return static_cast<float>(BFloat16(value));
}

/// IEEE half to float, exact.
float half_to_float(std::uint16_t bits);
/// Float to IEEE half, nearest even.
std::uint16_t float_to_half(float value);
/// FP8 E4M3 "fn" (bias 7, no infinity, 0x7F and 0xFF are NaN) to float, exact.
float f8_e4m3_to_float(std::uint8_t bits);
/// FP8 E5M2 (IEEE-like, with infinities) to float, exact.
float f8_e5m2_to_float(std::uint8_t bits);

/// Converts `count` elements at `source`, of a floating `dtype`, to float. Exact but for f64.
void convert_to_float(DType dtype, const void* source, float* target, std::size_t count);
/// Converts `count` floats to `dtype` (f32, f16 or bf16), nearest even.
void convert_from_float(const float* source, DType dtype, void* target, std::size_t count);

}  // namespace flux2
