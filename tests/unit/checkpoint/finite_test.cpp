#include "checkpoint/finite.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "support.h"

namespace flux2::test {
namespace {

// Every bit pattern of the small types: held against the conversion to float.
template <typename Word>
void check_all_patterns(DType dtype) {
  for (int pattern = 0; pattern < (1 << (8 * sizeof(Word))); ++pattern) {
    const auto bits = static_cast<Word>(pattern);
    float value = 0;
    convert_to_float(dtype, &bits, &value, 1);
    EXPECT_EQ(first_non_finite(stored(dtype, {1}, &bits)).has_value(), !std::isfinite(value))
        << name_of(dtype) << " " << pattern;
  }
}

TEST(FirstNonFinite, AgreesWithEveryPatternOfTheSmallTypes) {
  check_all_patterns<std::uint16_t>(DType::f16);
  check_all_patterns<std::uint16_t>(DType::bf16);
  check_all_patterns<std::uint8_t>(DType::f8_e4m3);
  check_all_patterns<std::uint8_t>(DType::f8_e5m2);
}

TEST(FirstNonFinite, KnowsTheEdgesOfFloatAndDouble) {
  using Float = std::numeric_limits<float>;
  for (const float value : {Float::max(), -Float::max(), Float::denorm_min(), -0.0f})
    EXPECT_FALSE(first_non_finite(stored(DType::f32, {1}, &value))) << value;
  for (const float value : {Float::infinity(), -Float::infinity(), Float::quiet_NaN()})
    EXPECT_TRUE(first_non_finite(stored(DType::f32, {1}, &value))) << value;
  const double rounds_up = std::ldexp(1.0, 128) - std::ldexp(1.0, 103);
  for (const double value : {rounds_up, -rounds_up, double{Float::infinity()}, std::nan("")})
    EXPECT_TRUE(first_non_finite(stored(DType::f64, {1}, &value))) << value;
  const double rounds_down = std::nextafter(rounds_up, 0.0);
  EXPECT_FALSE(first_non_finite(stored(DType::f64, {1}, &rounds_down)));
  EXPECT_TRUE(std::isfinite(static_cast<float>(rounds_down)));
}

TEST(FirstNonFinite, FindsTheFirstWhereverItIs) {
  constexpr std::int64_t kCount = 1'000'003;
  std::vector<float> values(kCount, 1.0f);
  const StoredTensor tensor = stored(DType::f32, {kCount}, values.data());
  EXPECT_FALSE(first_non_finite(tensor));
  for (const std::int64_t index : {std::int64_t{0}, std::int64_t{16383}, std::int64_t{16384},
                                   std::int64_t{600'001}, kCount - 1}) {
    std::vector<float> damaged = values;
    damaged[static_cast<std::size_t>(index)] = std::nanf("");
    damaged.back() = std::nanf("");
    EXPECT_EQ(first_non_finite(stored(DType::f32, {kCount}, damaged.data())), index);
  }
}

TEST(FirstNonFinite, ReadsUnalignedBytesAndLeavesIntegersAlone) {
  std::vector<char> bytes(1 + 4 * sizeof(float), 0);
  const float infinity = std::numeric_limits<float>::infinity();
  std::memcpy(bytes.data() + 1 + 3 * sizeof(float), &infinity, sizeof(infinity));
  EXPECT_EQ(first_non_finite(stored(DType::f32, {4}, bytes.data() + 1)), 3);
  const std::int64_t all_ones = -1;
  EXPECT_FALSE(first_non_finite(stored(DType::i64, {1}, &all_ones)));
}

TEST(RequireFinite, NamesFileTensorAndElement) {
  const float values[] = {0.0f, std::nanf("")};
  const std::string line = refusal_of([&] { require_finite(stored(DType::f32, {2}, values)); });
  EXPECT_EQ(line,
            "file.safetensors: tensor \"tensor\" [2]: element 1 is NaN or infinite (the file is "
            "damaged: get it again)");
}

}  // namespace
}  // namespace flux2::test
