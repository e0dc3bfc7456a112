#include "tensor/weight.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace flux2 {
namespace {

// Rows that count up from ten times their number.
class Counting final : public RowDecoder {
 public:
  std::string_view name() const override { return "counting"; }
  void decode(const StoredTensor& stored, std::int64_t begin, std::int64_t count,
              float* rows) const override {
    const std::int64_t width = row_elements(stored);
    for (std::int64_t row = begin; row < begin + count; ++row) {
      for (std::int64_t i = 0; i < width; ++i)
        *rows++ = static_cast<float>(10 * row + i);
    }
  }
};

TEST(StoredTensor, RowsOfElements) {
  const std::array<BFloat16, 6> values = {BFloat16(1), BFloat16(2), BFloat16(3),
                                          BFloat16(4), BFloat16(5), BFloat16(6)};
  const StoredTensor stored = {.name = "w",
                               .file = "f",
                               .dtype = DType::bf16,
                               .shape = {3, 2},
                               .bytes = std::as_bytes(std::span(values)),
                               .owner = nullptr};
  std::vector<float> rows(4);
  read_rows(stored, 1, 2, rows.data());
  EXPECT_EQ(rows, (std::vector<float>{3, 4, 5, 6}));
  EXPECT_EQ(encoding_of(stored), "BF16");
  EXPECT_TRUE(holds_numbers(stored));
}

TEST(StoredTensor, RowsOfADecoder) {
  StoredTensor stored = {.name = "w",
                         .file = "f",
                         .dtype = DType::u8,
                         .shape = {4, 1, 2},
                         .bytes = {},
                         .owner = nullptr};
  EXPECT_FALSE(holds_numbers(stored));
  stored.decoder = std::make_shared<Counting>();
  EXPECT_TRUE(holds_numbers(stored));
  EXPECT_EQ(encoding_of(stored), "counting");
  EXPECT_EQ(stored.decoder->int8_rows(), nullptr);
  std::vector<float> rows(4);
  read_rows(stored, 2, 2, rows.data());
  EXPECT_EQ(rows, (std::vector<float>{20, 21, 30, 31}));
}

TEST(StoredTensor, AScalarIsOneRow) {
  const float value = 7;
  const StoredTensor stored = {.name = "s",
                               .file = "f",
                               .dtype = DType::f32,
                               .shape = {},
                               .bytes = std::as_bytes(std::span(&value, 1)),
                               .owner = nullptr};
  float row = 0;
  read_rows(stored, 0, 1, &row);
  EXPECT_EQ(row, 7);
  EXPECT_EQ(row_elements(stored), 1);
}

}  // namespace
}  // namespace flux2
