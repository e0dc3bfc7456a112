#pragma once

#include <cstdint>
#include <optional>

#include "tensor/weight.h"

namespace flux2 {

enum class BlockScaleKind { e4m3, e8m0 };

/// The one-byte scales of blocks of a matrix.
struct BlockScales {
  const StoredTensor& tensor;
  std::int64_t rows = 0;     ///< of scales: rows of the matrix
  std::int64_t columns = 0;  ///< of scales: blocks in a row
  BlockScaleKind kind = BlockScaleKind::e4m3;
  bool marked = false;  ///< the file says that the weight is ComfyUI's, whose scales are blocked
};

/// Tells whether block scales lie in cuBLAS' tiles (ComfyUI, Black Forest Labs) or row by row
/// (ModelOpt's and compressed-tensors' exports), where nothing says so: read in the wrong order
/// they give noise. The rule:
///  1. The tiles are padded to 128 rows and 4 columns. Where that changes the size, the size tells.
///  2. Else the rows and columns of a real weight differ in magnitude, and only the right order
///     shows it: F, the variance between the means of rows and columns over what remains, is
///     computed for both orders over all matrices of the file together. The order with at least
///     twice the F is the right one.
///  3. Without such a difference a mark decides; without a mark the file is refused.
class BlockOrder {
 public:
  /// Checks one tensor by itself and adds it to the statistics.
  /// @throws Error bad_file: another size or type, NaN or negative scales, scales row by row by
  /// rule 1
  void check(const BlockScales& scales);
  /// @throws Error bad_file: rules 2 and 3
  void finish() const;

 private:
  // Sums of squares of a two-way layout, over matrices.
  struct Effects {
    double between = 0, between_freedom = 0;
    double rest = 0, rest_freedom = 0;
    double f() const;
  };

  template <typename Index>
  static void add(const BlockScales& scales, Index index, Effects& effects);

  Effects tiled_, by_rows_;
  int sampled_ = 0;
  std::optional<StoredTensor> example_;   // of an undecided size, for errors
  std::optional<StoredTensor> unmarked_;  // the first without a mark
};

}  // namespace flux2
