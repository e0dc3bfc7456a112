// Blocks that are written: known bytes, and how far the numbers they are read as may be off.
#include "checkpoint/encodings/number_encoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <vector>

#include "checkpoint/encodings/gguf_blocks.h"

namespace flux2 {
namespace {

std::vector<float> normal_numbers(std::size_t count, float outlier = 1) {
  std::mt19937 engine(7);
  std::normal_distribution<float> normal(0, 0.02f);
  std::vector<float> numbers(count);
  for (float& number : numbers)
    number = normal(engine);
  numbers[count / 2] *= outlier;
  return numbers;
}

std::vector<std::byte> encoded(const NumberEncoder& encoder, const std::vector<float>& numbers) {
  const auto count = static_cast<std::int64_t>(numbers.size());
  std::vector<std::byte> bytes(static_cast<std::size_t>(encoded_bytes(encoder, count)));
  encoder.encode(numbers.data(), count / encoder.elements, bytes.data());
  return bytes;
}

std::vector<float> there_and_back(const NumberEncoder& encoder, const std::vector<float>& numbers) {
  const GgufType* type = find_gguf_type(encoder.id);
  EXPECT_EQ(type->name, encoder.name);
  EXPECT_EQ(type->bytes, encoder.bytes);
  const std::vector<std::byte> bytes = encoded(encoder, numbers);
  std::vector<float> read(numbers.size());
  type->decode(bytes.data(), static_cast<std::int64_t>(numbers.size()) / encoder.elements,
               read.data());
  return read;
}

double squared_distance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    sum += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
  return sum;
}

struct BlockCase {
  const char* name;
  std::size_t group;
  int levels;      // steps within the range of a group
  bool offset;     // from the least to the most, not symmetric
  double allowed;  // relative error of normal numbers
};

// Every group rounded to its own range, with scales that are not rounded.
std::vector<float> plainly_rounded(const std::vector<float>& numbers, const BlockCase& block) {
  std::vector<float> rounded(numbers.size());
  for (std::size_t begin = 0; begin < numbers.size(); begin += block.group) {
    const auto* first = numbers.data() + begin;
    const auto [least, most] = std::minmax_element(first, first + block.group);
    const float extreme = std::max(std::abs(*least), std::abs(*most));
    const float low = block.offset ? std::min(*least, 0.0f) : -extreme;
    const float high = block.offset ? std::max(*most, 0.0f) : extreme;
    const float step = (high - low) / static_cast<float>(block.levels);
    for (std::size_t i = begin; i < begin + block.group; ++i)
      rounded[i] = std::round((numbers[i] - low) / step) * step + low;
  }
  return rounded;
}

class Blocks : public testing::TestWithParam<BlockCase> {
 protected:
  const NumberEncoder& encoder() const { return *find_encoder(GetParam().name); }
};

TEST_P(Blocks, NormalNumbersStayWithinTheTypesError) {
  const std::vector<float> numbers = normal_numbers(256 * 64);
  const std::vector<float> zeros(numbers.size());
  const double error = std::sqrt(squared_distance(there_and_back(encoder(), numbers), numbers) /
                                 squared_distance(numbers, zeros));
  EXPECT_LT(error, GetParam().allowed);
  EXPECT_GT(error, GetParam().allowed / 2) << "the bound says nothing";
}

// Super-blocks fit their scales; that is worth more than rounding them costs.
TEST_P(Blocks, FittedOnesAreBetterThanPlainRounding) {
  const std::vector<float> numbers = normal_numbers(256 * 64);
  const double fitted = squared_distance(there_and_back(encoder(), numbers), numbers);
  const double plain = squared_distance(plainly_rounded(numbers, GetParam()), numbers);
  EXPECT_LT(fitted, encoder().elements == 256 ? plain : 1.15 * plain);
}

// No number is further off than two steps of its group, nor than what a scale of six bits leaves of
// the largest group beside it.
TEST_P(Blocks, AnOutlierHarmsItsOwnBlockOnly) {
  const std::vector<float> numbers = normal_numbers(256 * 8, 40);
  const std::vector<float> read = there_and_back(encoder(), numbers);
  for (std::size_t begin = 0; begin < numbers.size(); begin += 256) {
    const auto* block = numbers.data() + begin;
    const float most = std::abs(*std::max_element(
        block, block + 256, [](float a, float b) { return std::abs(a) < std::abs(b); }));
    const float range = (GetParam().offset ? 1.0f : 2.0f) * most;
    const float allowed = range / static_cast<float>(GetParam().levels) + range / 63;
    for (std::size_t i = 0; i < 256; ++i)
      ASSERT_LE(std::abs(read[begin + i] - block[i]), allowed) << begin + i;
  }
}

TEST_P(Blocks, ConstantsAndZeros) {
  const std::vector<float> zeros(256);
  for (const float number : there_and_back(encoder(), zeros))
    EXPECT_EQ(number, 0.0f);
  for (const float value : {0.5f, -0.5f}) {
    const std::vector<float> constants(256, value);
    for (const float number : there_and_back(encoder(), constants))
      EXPECT_NEAR(number, value, 0.5 / 60);
  }
}

INSTANTIATE_TEST_SUITE_P(Types, Blocks,
                         testing::Values(BlockCase{"Q8_0", 32, 254, false, 0.0075},
                                         BlockCase{"Q6_K", 16, 63, false, 0.025},
                                         BlockCase{"Q5_K", 32, 31, true, 0.045},
                                         BlockCase{"Q4_K", 32, 15, true, 0.09},
                                         BlockCase{"Q4_0", 32, 15, false, 0.12}),
                         [](const auto& info) { return std::string(info.param.name); });

// What the gguf package's quantize() writes of these numbers.
TEST(NumberEncoder, WritesTheBytesOfGguf) {
  std::vector<float> numbers(32);
  for (std::size_t i = 0; i < numbers.size(); ++i)
    numbers[i] = (static_cast<float>(i) - 15.5f) / 8;
  const auto q8 = encoded(*find_encoder("Q8_0"), numbers);
  // d = 1.9375 / 127 as a half, then round(w / d)
  const std::array<int, 6> head = {0xD0, 0x23, 0x81, 0x89, 0x91, 0x9A};
  for (std::size_t i = 0; i < head.size(); ++i)
    EXPECT_EQ(std::to_integer<int>(q8[i]), head[i]) << i;
  const auto q4 = encoded(*find_encoder("Q4_0"), numbers);
  // d = -1.9375 / -8 as a half; the first is 0 and the seventeenth 8
  EXPECT_EQ(std::to_integer<int>(q4[0]), 0xC0);
  EXPECT_EQ(std::to_integer<int>(q4[1]), 0x33);
  EXPECT_EQ(std::to_integer<int>(q4[2]), 0x80);
}

TEST(NumberEncoder, KnowsItsNames) {
  EXPECT_EQ(find_encoder("Q3_K"), nullptr);
  EXPECT_EQ(find_encoder(""), nullptr);
  EXPECT_TRUE(find_encoder("BF16")->is_plain());
  EXPECT_EQ(encoded_bytes(*find_encoder("Q6_K"), 512), 420);
}

}  // namespace
}  // namespace flux2
