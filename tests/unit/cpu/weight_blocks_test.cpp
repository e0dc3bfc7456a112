#include "backends/cpu/weight_blocks.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/parallel.h"

namespace flux2 {
namespace {

// Row blocks of one width, their elements numbered from 1 through all of them.
class Blocks {
 public:
  Blocks(const std::vector<std::int64_t>& heights, std::int64_t width, DType dtype) {
    int number = 0;
    for (const std::int64_t height : heights) {
      auto& bytes = bytes_.emplace_back(static_cast<std::size_t>(height * width) * size_of(dtype) +
                                        1);  // + 1: unaligned
      for (std::int64_t i = 0; i < height * width; ++i) {
        const float value = value_of(number++);
        convert_from_float(&value, dtype,
                           bytes.data() + 1 + static_cast<std::size_t>(i) * size_of(dtype), 1);
      }
    }
    for (std::size_t i = 0; i < heights.size(); ++i) {
      stored.push_back({.name = "w" + std::to_string(i),
                        .file = "",
                        .dtype = dtype,
                        .shape = {heights[i], width},
                        .bytes = std::span<const std::byte>(bytes_[i]).subspan(1),
                        .owner = nullptr});
    }
  }

  // Exact in bf16 and f16.
  static float value_of(std::int64_t number) { return static_cast<float>(1 + number % 251); }

  std::vector<StoredTensor> stored;

 private:
  std::vector<std::vector<std::byte>> bytes_;
};

// An element of a packed weight [out, in], straight from the description of the layout.
float packed_at(const std::vector<std::byte>& packed, DType dtype, std::int64_t row_bytes,
                std::int64_t out, std::int64_t in) {
  const auto size = static_cast<std::int64_t>(size_of(dtype));
  const std::int64_t blocks_in_row = (row_bytes + 63) / 64;
  const std::int64_t byte = in * size;
  const std::int64_t at =
      (out / 64 * blocks_in_row + byte / 64) * 4096 + byte % 64 / 4 * 256 + out % 64 * 4 + byte % 4;
  float value = 0;
  convert_to_float(dtype, packed.data() + at, &value, 1);
  return value;
}

struct Case {
  std::vector<std::int64_t> heights;
  std::int64_t width;
  DType from;
  DType to;
};

void expect_packed(const Case& test) {
  const Blocks blocks(test.heights, test.width, test.from);
  const StoredRows rows(blocks.stored, test.to);
  const auto size =
      static_cast<std::size_t>(weight_blocks::packed_bytes(rows.count(), rows.row_bytes()));
  const auto pool = MemoryPool::make();
  const auto storage = pool->allocate(size);
  std::memset(storage->data, 0xFF, size);
  weight_blocks::pack(rows, *pool, static_cast<std::byte*>(storage->data));
  std::vector<std::byte> packed(size);
  std::memcpy(packed.data(), storage->data, size);
  const std::int64_t block_in = 64 / static_cast<std::int64_t>(size_of(test.to));
  for (std::int64_t out = 0; out < (rows.count() + 63) / 64 * 64; ++out) {
    for (std::int64_t in = 0; in < (test.width + block_in - 1) / block_in * block_in; ++in) {
      const bool inside = out < rows.count() && in < test.width;
      const float expected = inside ? Blocks::value_of(out * test.width + in) : 0.0f;
      ASSERT_EQ(packed_at(packed, test.to, rows.row_bytes(), out, in), expected)
          << out << ", " << in;
    }
  }
}

TEST(WeightBlocks, HoldEveryElementInItsPlace) {
  for (const int threads : {1, 2, 5, 64}) {
    set_thread_count(threads);
    expect_packed({{128}, 64, DType::bf16, DType::bf16});
    expect_packed({{128}, 64, DType::f32, DType::f32});
    expect_packed({{64, 192, 64}, 512, DType::bf16, DType::bf16});
    expect_packed({{640, 384}, 256, DType::f32, DType::f32});
  }
}

TEST(WeightBlocks, ArePaddedWithZeros) {
  set_thread_count(2);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    expect_packed({{1}, 1, dtype, dtype});
    expect_packed({{65}, 33, dtype, dtype});
    expect_packed({{64}, 7, dtype, dtype});
    expect_packed({{63, 2, 40}, 200, dtype, dtype});
  }
}

TEST(WeightBlocks, ConvertWhatIsStoredAsAnotherType) {
  set_thread_count(3);
  expect_packed({{100, 60}, 130, DType::f32, DType::bf16});
  expect_packed({{100, 60}, 130, DType::bf16, DType::f32});
  expect_packed({{700}, 64, DType::f16, DType::bf16});
}

}  // namespace
}  // namespace flux2
