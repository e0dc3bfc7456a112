#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace flux2 {

/// The lower factor of a product of low rank, laid out for add_low_rank: panels of 64 columns, each
/// [rank, 64], dense, filled up with zeros. Where all numbers are bfloat16 and the processor
/// multiplies tiles of them, also as words of two that follow one another along the rank.
class LowRankPanels {
 public:
  static constexpr std::int64_t kWidth = 64;

  /// @param down  [rank, columns], dense
  LowRankPanels(std::span<const float> down, std::int64_t rank, std::int64_t columns);

  std::int64_t rank() const { return rank_; }
  std::int64_t columns() const { return columns_; }
  const float* panel(std::int64_t index) const { return values_.data() + index * rank_ * kWidth; }

  /// Words along the rank, filled up to whole tiles; 0: there are none.
  std::int64_t pairs() const { return pairs_; }
  /// [pairs, 64]
  const std::uint32_t* pair_panel(std::int64_t index) const {
    return words_.data() + index * pairs_ * kWidth;
  }

 private:
  void add_pairs(std::int64_t panels);

  std::vector<float> values_;
  std::vector<std::uint32_t> words_;
  std::int64_t pairs_ = 0;
  std::int64_t rank_;
  std::int64_t columns_;
};

/// target += scale * up * down.   up [rows, rank], target [rows, columns], dense
///
/// Every element is one sum over the rank, in its order and in float with fused rounding, on every
/// instruction set. Only factors of bfloat16, as nearly all files have them, are summed up in pairs
/// where the processor multiplies tiles of them: their products are exact either way.
void add_low_rank(const float* up, std::int64_t rows, const LowRankPanels& down, float scale,
                  float* target);

}  // namespace flux2
