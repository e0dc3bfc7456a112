#include "checkpoint/companions/block_order.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "checkpoint/encodings/scales.h"
#include "checkpoint/in_quotes.h"

namespace flux2 {
namespace {

constexpr int kSamples = 16;             // matrices in the statistics
constexpr std::int64_t kMaxRows = 1024;  // of each
constexpr double kClear = 2.0;           // one F over the other
constexpr const char* kRowByRow =
    "its block scales lie row by row, not in cuBLAS' tiles as ComfyUI writes them";
constexpr const char* kRowByRowHint =
    "such files (ModelOpt, compressed-tensors) are not read: get the one for ComfyUI";

const std::uint8_t* bytes_of(const StoredTensor& tensor) {
  return reinterpret_cast<const std::uint8_t*>(tensor.bytes.data());
}

void require_values(const BlockScales& scales) {
  // E4M3: the sign bit, and NaN. E8M0: NaN.
  const bool e4m3 = scales.kind == BlockScaleKind::e4m3;
  const std::uint8_t first_bad = e4m3 ? 0x7F : 0xFF;
  const auto* begin = bytes_of(scales.tensor);
  const auto* end = begin + scales.tensor.bytes.size();
  const auto* bad = std::find_if(begin, end, [&](std::uint8_t bits) { return bits >= first_bad; });
  if (bad == end || (e4m3 && *bad == 0x80)) return;
  refuse_companion(scales.tensor, fmt::format("scale {} is {}", bad - begin,
                                              (*bad & 0x7F) == 0x7F ? "not a number" : "negative"));
}

// The logarithm of a scale, in steps that suit both kinds: E4M3 has three bits of mantissa.
double magnitude(std::uint8_t bits, BlockScaleKind kind) {
  return kind == BlockScaleKind::e4m3 ? bits / 8.0 : bits;
}

}  // namespace

double BlockOrder::Effects::f() const {
  if (between_freedom == 0 || rest_freedom == 0 || rest == 0) return 1;
  return (between / between_freedom) / (rest / rest_freedom);
}

// Two-way analysis of variance without replication.
template <typename Index>
void BlockOrder::add(const BlockScales& scales, Index index, Effects& effects) {
  const std::int64_t rows = std::min(scales.rows / 128 * 128, kMaxRows);
  const std::int64_t columns = scales.columns;
  if (rows < 2 || columns < 2) return;
  std::vector<double> row_means(static_cast<std::size_t>(rows));
  std::vector<double> column_means(static_cast<std::size_t>(columns));
  double squares = 0;
  double mean = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t column = 0; column < columns; ++column) {
      const double value = magnitude(bytes_of(scales.tensor)[index(row, column)], scales.kind);
      row_means[static_cast<std::size_t>(row)] += value;
      column_means[static_cast<std::size_t>(column)] += value;
      squares += value * value;
      mean += value;
    }
  }
  const auto count = static_cast<double>(rows * columns);
  mean /= count;
  double between = 0;
  for (const double sum : row_means)
    between +=
        sum * sum / static_cast<double>(columns) - static_cast<double>(columns) * mean * mean;
  for (const double sum : column_means)
    between += sum * sum / static_cast<double>(rows) - static_cast<double>(rows) * mean * mean;
  effects.between += between;
  effects.between_freedom += static_cast<double>(rows + columns - 2);
  effects.rest += squares - count * mean * mean - between;
  effects.rest_freedom += static_cast<double>((rows - 1) * (columns - 1));
}

void BlockOrder::check(const BlockScales& scales) {
  const StoredTensor& tensor = scales.tensor;
  const std::int64_t rows = BlockedLayout::padded_rows(scales.rows);
  const std::int64_t columns = BlockedLayout::padded_columns(scales.columns);
  const auto size = static_cast<std::int64_t>(tensor.bytes.size());
  const bool known = tensor.dtype == DType::u8 ||
                     (tensor.dtype == DType::f8_e4m3 && scales.kind == BlockScaleKind::e4m3);
  const bool padded = rows != scales.rows || columns != scales.columns;
  if (padded && size == scales.rows * scales.columns) {
    refuse_companion(tensor, kRowByRow, kRowByRowHint);
  }
  if (!known || size != rows * columns) {
    refuse_companion(tensor, fmt::format("is {} {}, but block scales are one byte each, {} of them",
                                         name_of(tensor.dtype), tensor.shape.to_string(),
                                         Shape({rows, columns}).to_string()));
  }
  require_values(scales);
  if (padded) return;
  if (!scales.marked && !unmarked_) unmarked_ = tensor;
  if (!example_) example_ = tensor;
  if (sampled_++ >= kSamples) return;
  const BlockedLayout layout(scales.columns);
  add(
      scales, [&](auto row, auto column) { return layout.index(row, column); }, tiled_);
  add(
      scales, [&](auto row, auto column) { return row * scales.columns + column; }, by_rows_);
}

void BlockOrder::finish() const {
  if (!example_) return;
  if (by_rows_.f() > kClear * tiled_.f()) refuse_companion(*example_, kRowByRow, kRowByRowHint);
  if (!unmarked_ || tiled_.f() > kClear * by_rows_.f()) return;
  refuse_companion(*unmarked_,
                   "has block scales in an order that neither a mark nor their values tell",
                   "get the file for ComfyUI, which says how each layer is stored");
}

}  // namespace flux2
