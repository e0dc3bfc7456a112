#include "adapters/low_rank.h"

#include <algorithm>
#include <bit>

#include "adapters/low_rank_kernels.h"
#include "base/rounding.h"
#include "base/tile_registers.h"

namespace flux2 {
namespace {

using low_rank::kRows;
using low_rank::kTilePairs;
using low_rank::kTileRows;
constexpr std::int64_t kWidth = LowRankPanels::kWidth;

static_assert(kWidth == low_rank::kColumns);

low_rank::Multiply best_multiply() {
  return __builtin_cpu_supports("avx512f") ? low_rank::multiply_avx512 : low_rank::multiply_avx2;
}

bool are_bf16(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(), [](float value) {
    return (std::bit_cast<std::uint32_t>(value) & 0xFFFFU) == 0;
  });
}

// The upper halves of two floats that are bfloat16 numbers.
std::uint32_t pair_of(float first, float second) {
  return std::bit_cast<std::uint32_t>(first) >> 16 | std::bit_cast<std::uint32_t>(second);
}

// What a kernel made of a tile of Rows rows is added to `target`, of which `rows` are there.
template <int Rows>
struct Product {
  float values[Rows * kWidth];

  void add_to(float* target, std::int64_t rows, const LowRankPanels& down, std::int64_t column,
              float scale) const {
    const std::int64_t width = std::min(kWidth, down.columns() - column);
    for (std::int64_t i = 0; i < std::min<std::int64_t>(Rows, rows); ++i) {
      float* to = target + i * down.columns() + column;
      const float* from = values + i * kWidth;
      for (std::int64_t j = 0; j < width; ++j)
        to[j] += scale * from[j];
    }
  }
};

// In floats, `up` scaled before.
void add_in_floats(const float* up, std::int64_t rows, const LowRankPanels& down, float scale,
                   float* target) {
  static const low_rank::Multiply multiply = best_multiply();
  const std::int64_t rank = down.rank();
  std::vector<float> scaled(static_cast<std::size_t>(round_up(rows, kRows) * rank));
  std::transform(up, up + rows * rank, scaled.begin(), [=](float value) { return scale * value; });
  Product<kRows> product;
  for (std::int64_t column = 0; column < down.columns(); column += kWidth) {
    for (std::int64_t row = 0; row < rows; row += kRows) {
      multiply({.up = scaled.data() + row * rank,
                .panel = down.panel(column / kWidth),
                .target = product.values,
                .rank = rank});
      product.add_to(target + row * down.columns(), rows - row, down, column, 1);
    }
  }
}

// In tiles of bfloat16.
void add_in_tiles(const float* up, std::int64_t rows, const LowRankPanels& down, float scale,
                  float* target) {
  const std::int64_t rank = down.rank(), pairs = down.pairs();
  std::vector<std::uint32_t> words(static_cast<std::size_t>(round_up(rows, kTileRows) * pairs));
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* values = up + row * rank;
    for (std::int64_t k = 0; k < rank; k += 2)
      words[static_cast<std::size_t>(row * pairs + k / 2)] =
          pair_of(values[k], k + 1 < rank ? values[k + 1] : 0.0F);
  }
  const low_rank::Tiles tiles;
  Product<kTileRows> product;
  for (std::int64_t column = 0; column < down.columns(); column += kWidth) {
    for (std::int64_t row = 0; row < rows; row += kTileRows) {
      tiles.multiply({.up = words.data() + row * pairs,
                      .panel = down.pair_panel(column / kWidth),
                      .target = product.values,
                      .pairs = pairs});
      product.add_to(target + row * down.columns(), rows - row, down, column, scale);
    }
  }
}

}  // namespace

LowRankPanels::LowRankPanels(std::span<const float> down, std::int64_t rank, std::int64_t columns)
    : rank_(rank), columns_(columns) {
  const std::int64_t panels = (columns + kWidth - 1) / kWidth;
  values_.resize(static_cast<std::size_t>(panels * rank * kWidth));
  for (std::int64_t k = 0; k < rank; ++k) {
    for (std::int64_t column = 0; column < columns; column += kWidth) {
      const std::int64_t width = std::min(kWidth, columns - column);
      std::copy_n(down.begin() + k * columns + column, width,
                  values_.begin() + column * rank + k * kWidth);
    }
  }
  if (may_use_tiles() && are_bf16(values_)) add_pairs(panels);
}

void LowRankPanels::add_pairs(std::int64_t panels) {
  pairs_ = round_up((rank_ + 1) / 2, kTilePairs);
  words_.resize(static_cast<std::size_t>(panels * pairs_ * kWidth));
  for (std::int64_t index = 0; index < panels; ++index) {
    std::uint32_t* word = words_.data() + index * pairs_ * kWidth;
    for (std::int64_t k = 0; k < rank_; k += 2) {
      const float* first = panel(index) + k * kWidth;
      for (std::int64_t j = 0; j < kWidth; ++j)
        *word++ = pair_of(first[j], k + 1 < rank_ ? first[j + kWidth] : 0.0F);
    }
  }
}

void add_low_rank(const float* up, std::int64_t rows, const LowRankPanels& down, float scale,
                  float* target) {
  const bool in_tiles =
      down.pairs() > 0 && are_bf16({up, static_cast<std::size_t>(rows * down.rank())});
  (in_tiles ? add_in_tiles : add_in_floats)(up, rows, down, scale, target);
}

}  // namespace flux2
