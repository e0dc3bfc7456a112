// Block scales of NVFP4 and MXFP8 in the two orders that writers use: only cuBLAS' tiles are read,
// and the other is noticed, never decoded into noise.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "draft.h"

namespace flux2::test {
namespace {

constexpr std::int64_t kRows = 256;
constexpr std::int64_t kColumns = 8;  // of scales

enum class Order { tiles, rows };
enum class Variety { rows, columns, none };

// Where scale [row, column] lies, by the loops of cuBLAS' documentation.
std::size_t place(Order order, std::int64_t row, std::int64_t column) {
  if (order == Order::rows) return static_cast<std::size_t>(row * kColumns + column);
  const std::int64_t tile = (row / 128) * (kColumns / 4) + column / 4;
  return static_cast<std::size_t>(tile * 512 + (row % 32) * 16 + (row % 128 / 32) * 4 + column % 4);
}

// E4M3 scales as of a weight whose rows or columns differ in magnitude.
std::string scales(Order order, Variety variety, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  std::vector<double> row_effect(kRows), column_effect(kColumns);
  for (double& effect : row_effect)
    effect = variety == Variety::rows ? 3 * normal(random) : 0;
  for (double& effect : column_effect)
    effect = variety == Variety::columns ? 3 * normal(random) : 0;
  std::string bytes(kRows * kColumns, '\0');
  for (std::int64_t row = 0; row < kRows; ++row) {
    for (std::int64_t column = 0; column < kColumns; ++column) {
      const double bits = 70 + row_effect[static_cast<std::size_t>(row)] +
                          column_effect[static_cast<std::size_t>(column)] + 2 * normal(random);
      bytes[place(order, row, column)] = static_cast<char>(std::clamp(bits, 1.0, 120.0));
    }
  }
  return bytes;
}

Draft nvfp4(const std::string& block_scales, bool marked) {
  Draft draft;
  draft.add("x.weight", {kRows, kColumns * 8}, DType::u8,
            std::string(kRows * kColumns * 8, '\x21'));
  draft.add("x.weight_scale", {kRows, kColumns}, DType::f8_e4m3, block_scales);
  draft.floats("x.weight_scale_2", {}, {0.5f});
  if (marked) draft.text("x.comfy_quant", R"({"format": "nvfp4"})");
  return draft;
}

TEST(BlockOrder, ScalesOfTilesAreReadMarkedOrNot) {
  for (const Variety variety : {Variety::rows, Variety::columns}) {
    for (const bool marked : {true, false}) {
      const WeightsFile file = nvfp4(scales(Order::tiles, variety), marked).read();
      EXPECT_EQ(file.tensors.at("x.weight").shape, Shape({kRows, kColumns * 16}));
    }
  }
}

TEST(BlockOrder, ScalesRowByRowAreNoticedMarkedOrNot) {
  for (const Variety variety : {Variety::rows, Variety::columns}) {
    for (const bool marked : {true, false}) {
      expect_part(nvfp4(scales(Order::rows, variety), marked).refusal(),
                  "\"x.weight_scale\" its block scales lie row by row");
    }
  }
}

TEST(BlockOrder, WithoutVarietyTheMarkDecides) {
  EXPECT_EQ(nvfp4(scales(Order::tiles, Variety::none), true).read().tensors.size(), 1u);
  expect_part(nvfp4(scales(Order::tiles, Variety::none), false).refusal(),
              "in an order that neither a mark nor their values tell");
}

TEST(BlockOrder, MatricesOfAFileAreJudgedTogether) {
  Draft draft = nvfp4(scales(Order::tiles, Variety::none), false);
  const Draft other = nvfp4(scales(Order::tiles, Variety::rows), false);
  for (const auto& [name, tensor] : other.tensors)
    draft.tensors.emplace("other" + name.substr(1), tensor);
  EXPECT_EQ(draft.read().tensors.size(), 2u);
}

TEST(BlockOrder, ThePaddedSizeTells) {
  Draft draft;
  draft.add("x.weight", {3, 40}, DType::u8, std::string(120, '\x21'));
  draft.floats("x.weight_scale_2", {}, {0.5f});
  draft.add("x.weight_scale", {3, 5}, DType::f8_e4m3, std::string(15, '\x38'));
  expect_part(draft.refusal(), "lie row by row");
  draft.add("x.weight_scale", {128, 8}, DType::f8_e4m3, std::string(1024, '\x38'));
  const std::vector<float> values = row_of(draft.read().tensors.at("x.weight"), 2);
  ASSERT_EQ(values.size(), 80u);
  EXPECT_EQ(values[0], 0.5f);   // high nibble 2: 1.0, scales 1.0 and 0.5
  EXPECT_EQ(values[1], 0.25f);  // low nibble 1: 0.5
  draft.add("x.weight_scale", {128, 4}, DType::f8_e4m3, std::string(512, '\x38'));
  expect_part(draft.refusal(), "block scales are one byte each, [128, 8] of them");
}

TEST(BlockOrder, ValuesThatCannotBe) {
  std::string bytes = scales(Order::tiles, Variety::rows);
  bytes[77] = '\x7F';
  expect_part(nvfp4(bytes, true).refusal(), "scale 77 is not a number");
  bytes[77] = '\xB0';
  expect_part(nvfp4(bytes, true).refusal(), "scale 77 is negative");
  Draft draft = nvfp4(scales(Order::tiles, Variety::rows), true);
  draft.tensors.erase("x.weight_scale_2");
  expect_part(draft.refusal(), "is NVFP4 without its \"weight_scale_2\"");
  draft.floats("x.weight_scale_2", {2}, {1.0f, 1.0f});
  expect_part(draft.refusal(), "\"x.weight_scale_2\" is not one number");
  draft.floats("x.weight_scale_2", {}, {1.0f}).floats("x.pre_quant_scale", {3}, {1, 1, 1});
  expect_part(draft.refusal(), "not one number for each of 128 columns");
  draft.tensors.erase("x.weight_scale");
  expect_part(draft.refusal(), "its scale is missing");
}

TEST(BlockOrder, Mxfp8) {
  Draft draft;
  draft.add("x.weight", {3, 96}, DType::f8_e4m3, std::string(288, '\x38'));  // ones
  std::string exponents(512, '\0');
  exponents[0] = '\x80';   // row 0, group 0: 2
  exponents[17] = '\x7E';  // row 1, group 1: 0.5
  draft.add("x.weight_scale", {128, 4}, DType::u8, exponents);
  const WeightsFile file = draft.read();
  const StoredTensor& weight = file.tensors.at("x.weight");
  EXPECT_EQ(row_of(weight, 0)[31], 2.0f);
  EXPECT_EQ(row_of(weight, 0)[32], 0.0f);
  EXPECT_EQ(row_of(weight, 1)[32], 0.5f);
  exponents[3] = '\xFF';
  draft.add("x.weight_scale", {128, 4}, DType::u8, exponents);
  expect_part(draft.refusal(), "scale 3 is not a number");
  draft.add("x.weight_scale", {3, 3}, DType::u8, std::string(9, '\x7F'));
  expect_part(draft.refusal(), "lie row by row");
}

}  // namespace
}  // namespace flux2::test
