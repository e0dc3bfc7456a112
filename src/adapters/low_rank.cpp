#include "adapters/low_rank.h"

#include <algorithm>

#include "adapters/low_rank_kernels.h"

namespace flux2 {
namespace {

using low_rank::kRows;

static_assert(LowRankPanels::kWidth == low_rank::kColumns);

low_rank::Multiply best_multiply() {
  return __builtin_cpu_supports("avx512f") ? low_rank::multiply_avx512 : low_rank::multiply_avx2;
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
}

void add_low_rank(const float* up, std::int64_t rows, const LowRankPanels& down, float scale,
                  float* target) {
  static const low_rank::Multiply multiply = best_multiply();
  const std::int64_t rank = down.rank();
  const std::int64_t padded = (rows + kRows - 1) / kRows * kRows;
  std::vector<float> scaled(static_cast<std::size_t>(padded * rank));
  std::transform(up, up + rows * rank, scaled.begin(), [=](float value) { return scale * value; });
  float product[kRows * LowRankPanels::kWidth];
  for (std::int64_t column = 0; column < down.columns(); column += LowRankPanels::kWidth) {
    const std::int64_t width = std::min(LowRankPanels::kWidth, down.columns() - column);
    const float* panel = down.panel(column / LowRankPanels::kWidth);
    for (std::int64_t row = 0; row < rows; row += kRows) {
      multiply({.up = scaled.data() + row * rank, .panel = panel, .target = product, .rank = rank});
      for (std::int64_t i = 0; i < std::min<std::int64_t>(kRows, rows - row); ++i) {
        float* to = target + (row + i) * down.columns() + column;
        const float* from = product + i * LowRankPanels::kWidth;
        for (std::int64_t j = 0; j < width; ++j)
          to[j] += from[j];
      }
    }
  }
}

}  // namespace flux2
