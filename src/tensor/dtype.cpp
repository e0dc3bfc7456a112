#include "tensor/dtype.h"

#include <cstring>
#include <string>

#include "flux2/error.h"

namespace flux2 {
namespace {

struct Properties {
  std::size_t size;
  std::string_view name;
  bool floating;
};

Properties properties_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return {4, "F32", true};
    case DType::f16:
      return {2, "F16", true};
    case DType::bf16:
      return {2, "BF16", true};
    case DType::f8_e4m3:
      return {1, "F8_E4M3", true};
    case DType::f8_e5m2:
      return {1, "F8_E5M2", true};
    case DType::f64:
      return {8, "F64", true};
    case DType::i64:
      return {8, "I64", false};
    case DType::i32:
      return {4, "I32", false};
    case DType::i16:
      return {2, "I16", false};
    case DType::i8:
      return {1, "I8", false};
    case DType::u8:
      return {1, "U8", false};
    case DType::boolean:
      return {1, "BOOL", false};
  }
  return {0, "?", false};
}

// A float of `exponent_bits` and `mantissa_bits`, IEEE-like but for its special values, read
// without a branch, so that loops over it become vector code; and without subnormal floats, which a
// host program may have switched off.
template <int exponent_bits, int mantissa_bits>
float small_float(std::uint32_t bits, std::uint32_t special_from, std::uint32_t special_bits) {
  constexpr int kBias = (1 << (exponent_bits - 1)) - 1;
  constexpr std::uint32_t kMagnitude = (1u << (exponent_bits + mantissa_bits)) - 1u;
  constexpr std::uint32_t kHidden = 1u << mantissa_bits;
  constexpr auto kStep = static_cast<std::uint32_t>(127 + 1 - kBias - mantissa_bits) << 23;
  const std::uint32_t magnitude = bits & kMagnitude;
  const std::uint32_t word = magnitude << (23 - mantissa_bits);
  const std::uint32_t normal = word + (static_cast<std::uint32_t>(127 - kBias) << 23);
  const float below =
      static_cast<float>(static_cast<std::int32_t>(magnitude)) * std::bit_cast<float>(kStep);
  // Masks, because a compiler turns a choice between floats into a branch.
  const std::uint32_t subnormal = 0u - static_cast<std::uint32_t>(magnitude < kHidden);
  const std::uint32_t special = 0u - static_cast<std::uint32_t>(magnitude >= special_from);
  const std::uint32_t finite =
      (std::bit_cast<std::uint32_t>(below) & subnormal) | (normal & ~subnormal);
  const std::uint32_t value = (finite & ~special) | ((word | special_bits) & special);
  const std::uint32_t sign = (bits & (kMagnitude + 1u)) << (31 - exponent_bits - mantissa_bits);
  return std::bit_cast<float>(value | sign);
}

inline float read_half(std::uint16_t bits) {
  return small_float<5, 10>(bits, 0x7C00u, 0x7F800000u);
}
inline float read_f8_e4m3(std::uint8_t bits) {
  return small_float<4, 3>(bits, 0x7Fu, 0x7FC00000u);
}
inline float read_f8_e5m2(std::uint8_t bits) {
  return read_half(static_cast<std::uint16_t>(bits << 8));
}

// memcpy because an element in a mapped file may be unaligned.
template <typename T>
T load(const void* source, std::size_t index) {
  T value;
  std::memcpy(&value, static_cast<const std::byte*>(source) + index * sizeof(T), sizeof(T));
  return value;
}

template <typename T, typename Convert>
void convert_each(const void* source, float* target, std::size_t count, Convert convert) {
  for (std::size_t i = 0; i < count; ++i)
    target[i] = convert(load<T>(source, i));
}

}  // namespace

std::size_t size_of(DType dtype) {
  return properties_of(dtype).size;
}
std::string_view name_of(DType dtype) {
  return properties_of(dtype).name;
}
bool is_floating(DType dtype) {
  return properties_of(dtype).floating;
}

float half_to_float(std::uint16_t bits) {
  return read_half(bits);
}

std::uint16_t float_to_half(float value) {
  const auto word = std::bit_cast<std::uint32_t>(value);
  const auto sign = (word >> 16) & 0x8000u;
  const std::uint32_t magnitude = word & 0x7FFFFFFFu;
  std::uint32_t half = 0;
  if (magnitude > 0x7F800000u) {
    half = 0x7E00u;  // NaN
  } else if (magnitude >= 0x477FF000u) {
    half = 0x7C00u;  // rounds to infinity
  } else if (magnitude >= 0x38800000u) {
    half = (magnitude - 0x38000000u + 0xFFFu + ((magnitude >> 13) & 1u)) >> 13;
  } else {
    // Subnormal half: adding 0.5 lets the float adder round to multiples of 2^-24.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    half = std::bit_cast<std::uint32_t>(shifted) - 0x3F000000u;
  }
  return static_cast<std::uint16_t>(sign | half);
}

float f8_e4m3_to_float(std::uint8_t bits) {
  return read_f8_e4m3(bits);
}

float f8_e5m2_to_float(std::uint8_t bits) {
  return read_f8_e5m2(bits);
}

void convert_to_float(DType dtype, const void* source, float* target, std::size_t count) {
  switch (dtype) {
    case DType::f32:
      std::memcpy(target, source, count * sizeof(float));
      return;
    case DType::f16:
      return convert_each<std::uint16_t>(source, target, count,
                                         [](std::uint16_t bits) { return read_half(bits); });
    case DType::bf16:
      return convert_each<BFloat16>(source, target, count,
                                    [](BFloat16 value) { return static_cast<float>(value); });
    case DType::f8_e4m3:
      return convert_each<std::uint8_t>(source, target, count,
                                        [](std::uint8_t bits) { return read_f8_e4m3(bits); });
    case DType::f8_e5m2:
      return convert_each<std::uint8_t>(source, target, count,
                                        [](std::uint8_t bits) { return read_f8_e5m2(bits); });
    case DType::f64:
      return convert_each<double>(source, target, count,
                                  [](double value) { return static_cast<float>(value); });
    default:
      throw Error(ErrorCode::internal,
                  "elements of type " + std::string(name_of(dtype)) + " are not real numbers");
  }
}

void convert_from_float(const float* source, DType dtype, void* target, std::size_t count) {
  switch (dtype) {
    case DType::f32:
      std::memcpy(target, source, count * sizeof(float));
      return;
    case DType::f16: {
      auto* out = static_cast<std::uint16_t*>(target);
      for (std::size_t i = 0; i < count; ++i)
        out[i] = float_to_half(source[i]);
      return;
    }
    case DType::bf16: {
      auto* out = static_cast<BFloat16*>(target);
      for (std::size_t i = 0; i < count; ++i)
        out[i] = BFloat16(source[i]);
      return;
    }
    default:
      throw Error(ErrorCode::internal, "cannot convert float to " + std::string(name_of(dtype)));
  }
}

}  // namespace flux2
