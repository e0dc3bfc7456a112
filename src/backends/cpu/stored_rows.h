#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "backends/cpu/memory_pool.h"
#include "tensor/tensor.h"
#include "tensor/weight.h"

namespace flux2 {

/// Row blocks of stored tensors, stacked and read as rows of one element type.
class StoredRows {
 public:
  /// @param blocks  as wide as each other; must outlive this
  /// @param dtype   f32 or bf16
  /// @throws Error bad_file: a block that does not hold real numbers
  StoredRows(std::span<const StoredTensor> blocks, DType dtype);

  DType dtype() const { return dtype_; }
  std::int64_t count() const { return count_; }
  /// Elements of a row.
  std::int64_t width() const { return width_; }
  std::int64_t row_bytes() const { return width_ * static_cast<std::int64_t>(size_of(dtype_)); }
  /// Whether the rows lie in the file just as they are wanted.
  bool are_stored_plainly() const { return plain_; }

  /// Row `index` where it lies in the file. Only for rows that are stored plainly.
  const std::byte* stored(std::int64_t index) const;
  /// Writes rows [begin, begin + count) to `target`, dense.
  void read(std::int64_t begin, std::int64_t count, std::byte* target) const;
  /// All rows side by side as a tensor of `shape`: the mapped file itself where that will do.
  Tensor gather(MemoryPool& pool, const Shape& shape) const;

 private:
  std::span<const StoredTensor> blocks_;
  DType dtype_;
  std::int64_t count_ = 0;
  std::int64_t width_ = 0;
  bool plain_ = true;
};

}  // namespace flux2
