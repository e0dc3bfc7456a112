#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "tensor/weight.h"

namespace flux2 {

/// What zero means among the scales of a tensor.
enum class ZeroScale {
  refused,     ///< one scale for all: the tensor would be nothing but zeros
  empty_block  ///< a row or block that holds only zeros
};

/// The scales of a weight as floats, in the order they are stored.
/// @throws Error bad_file, naming the tensor: not F32, F16 or BF16; NaN, infinite or negative; zero
///         where that is refused
std::vector<float> read_scales(const StoredTensor& scales, ZeroScale zero);

/// Least and greatest of `scales`; none for an empty list.
std::optional<ScaleRange> range_of(std::span<const float> scales);

/// Refuses `companion` with `what`, naming it and its file.
[[noreturn]] void refuse_companion(const StoredTensor& companion, std::string_view what,
                                   std::string_view hint = "the file is damaged: get it again");

/// One-byte scales of blocks, as cuBLAS wants them: tiles of 128 rows and 4 columns, in which the
/// scale of row 32 g + s and column c lies at 16 s + 4 g + c.
/// https://docs.nvidia.com/cuda/cublas/index.html#d-block-scaling-factors-layout
struct BlockedLayout {
  std::int64_t column_tiles = 0;

  explicit BlockedLayout(std::int64_t columns) : column_tiles((columns + 3) / 4) {}
  static std::int64_t padded_rows(std::int64_t rows) { return (rows + 127) / 128 * 128; }
  static std::int64_t padded_columns(std::int64_t columns) { return (columns + 3) / 4 * 4; }

  std::int64_t index(std::int64_t row, std::int64_t column) const {
    const std::int64_t tile = row / 128 * column_tiles + column / 4;
    return (tile * 32 + row % 32) * 16 + row % 128 / 32 * 4 + column % 4;
  }
};

}  // namespace flux2
