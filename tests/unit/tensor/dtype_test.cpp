#include "tensor/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "flux2/error.h"

namespace flux2 {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// A binary floating-point format, as IEEE 754 describes one.
struct Format {
  int exponent_bits;
  int mantissa_bits;
  bool infinities;  ///< else only the code of all ones is special, a NaN
};

constexpr Format kHalf = {5, 10, true};
constexpr Format kBf16 = {8, 7, true};
constexpr Format kE4m3 = {4, 3, false};
constexpr Format kE5m2 = {5, 2, true};

// (-1)^s 2^(e - bias) (1 + m), or (-1)^s 2^(1 - bias) m where e is 0.
double value_of(unsigned code, const Format& format) {
  const int all = format.exponent_bits + format.mantissa_bits;
  const double sign = (code >> all) != 0 ? -1.0 : 1.0;
  const unsigned magnitude = code & ((1u << all) - 1u);
  const unsigned top = (1u << format.exponent_bits) - 1u;
  const unsigned exponent = magnitude >> format.mantissa_bits;
  const unsigned mantissa = magnitude & ((1u << format.mantissa_bits) - 1u);
  if (format.infinities && exponent == top) {
    return mantissa == 0 ? sign * std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
  }
  if (!format.infinities && magnitude == (1u << all) - 1u) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  const int bias = (1 << (format.exponent_bits - 1)) - 1;
  const double fraction = std::ldexp(static_cast<double>(mantissa), -format.mantissa_bits);
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias);
  return sign * std::ldexp(1.0 + fraction, static_cast<int>(exponent) - bias);
}

template <typename ToFloat>
void expect_all_codes(unsigned codes, const Format& format, ToFloat to_float) {
  for (unsigned code = 0; code < codes; ++code) {
    const double expected = value_of(code, format);
    const auto actual = static_cast<double>(to_float(code));
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(actual)) << code;
      continue;
    }
    EXPECT_EQ(actual, expected) << code;
    EXPECT_EQ(std::signbit(actual), std::signbit(expected)) << code;
  }
}

TEST(DType, EveryCodeOfEveryNarrowFloatIsExact) {
  expect_all_codes(1u << 16, kHalf,
                   [](unsigned code) { return half_to_float(static_cast<std::uint16_t>(code)); });
  expect_all_codes(1u << 16, kBf16, [](unsigned code) {
    BFloat16 value;
    value.bits = static_cast<std::uint16_t>(code);
    return static_cast<float>(value);
  });
  expect_all_codes(1u << 8, kE4m3,
                   [](unsigned code) { return f8_e4m3_to_float(static_cast<std::uint8_t>(code)); });
  expect_all_codes(1u << 8, kE5m2,
                   [](unsigned code) { return f8_e5m2_to_float(static_cast<std::uint8_t>(code)); });
}

// Between each two neighbours: their midpoint goes to the even one, a little to either side of it
// to the nearer one. That decides every rounding.
template <typename FromFloat>
void expect_nearest_even(const Format& format, FromFloat from_float) {
  const unsigned infinity = ((1u << format.exponent_bits) - 1u) << format.mantissa_bits;
  for (unsigned code = 0; code + 1 < infinity; ++code) {
    const double low = value_of(code, format), high = value_of(code + 1, format);
    const auto middle = static_cast<float>((low + high) / 2);
    ASSERT_EQ(static_cast<double>(middle), (low + high) / 2);
    const unsigned even = code % 2 == 0 ? code : code + 1;
    const unsigned sign = 1u << (format.exponent_bits + format.mantissa_bits);
    EXPECT_EQ(from_float(static_cast<float>(low)), code);
    EXPECT_EQ(from_float(middle), even);
    EXPECT_EQ(from_float(-middle), even | sign);
    EXPECT_EQ(from_float(std::nextafter(middle, 0.0f)), code);
    EXPECT_EQ(from_float(std::nextafter(middle, kInfinity)), code + 1);
  }
  EXPECT_EQ(from_float(std::numeric_limits<float>::max()), infinity);
  EXPECT_EQ(from_float(std::numeric_limits<float>::infinity()), infinity);
  EXPECT_TRUE(std::isnan(value_of(from_float(std::numeric_limits<float>::quiet_NaN()), format)));
}

TEST(DType, RoundsToTheNearestEven) {
  expect_nearest_even(kHalf, [](float value) { return unsigned{float_to_half(value)}; });
  expect_nearest_even(kBf16, [](float value) { return unsigned{BFloat16(value).bits}; });
}

TEST(DType, ConvertsFromUnalignedBytes) {
  const double numbers[] = {1.5, -2.25, 1e300};
  std::vector<std::byte> bytes(sizeof(numbers) + 1);
  std::memcpy(bytes.data() + 1, numbers, sizeof(numbers));
  float out[3];
  convert_to_float(DType::f64, bytes.data() + 1, out, 3);
  EXPECT_EQ(out[0], 1.5f);
  EXPECT_EQ(out[1], -2.25f);
  EXPECT_EQ(out[2], std::numeric_limits<float>::infinity());
}

TEST(DType, RefusesWhatAreNotRealNumbers) {
  std::int32_t source = 1;
  float target = 0;
  EXPECT_THROW(convert_to_float(DType::i32, &source, &target, 1), Error);
  EXPECT_THROW(convert_from_float(&target, DType::f8_e4m3, &source, 1), Error);
}

TEST(DType, KnowsSizesAndNames) {
  EXPECT_EQ(size_of(DType::f8_e5m2), 1u);
  EXPECT_EQ(size_of(DType::bf16), 2u);
  EXPECT_EQ(size_of(DType::i64), 8u);
  EXPECT_EQ(name_of(DType::f8_e4m3), "F8_E4M3");
  EXPECT_EQ(name_of(DType::boolean), "BOOL");
  EXPECT_TRUE(is_floating(DType::f16));
  EXPECT_FALSE(is_floating(DType::u8));
}

}  // namespace
}  // namespace flux2
