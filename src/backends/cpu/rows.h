#pragma once

#include <algorithm>
#include <cstdint>

#include "backends/cpu/kernels.h"
#include "base/parallel.h"
#include "tensor/tensor.h"

namespace flux2 {

/// Elements below which another thread costs more than it saves.
inline constexpr std::int64_t kGrainElements = 16384;

/// How many rows of `width` elements are worth a thread.
inline std::int64_t grain_for(std::int64_t width) {
  return std::max<std::int64_t>(1, kGrainElements / std::max<std::int64_t>(1, width));
}

inline Element element_of(const Tensor& x) {
  return x.dtype() == DType::bf16 ? Element::bf16 : Element::f32;
}

/// The entry of a kernel table for an input, or for an input and an output.
template <typename Table>
auto pick(const Table& table, const Tensor& x) {
  return table[static_cast<int>(element_of(x))];
}
template <typename Table>
auto pick(const Table& table, const Tensor& x, const Tensor& out) {
  return table[static_cast<int>(element_of(x))][static_cast<int>(element_of(out))];
}

/// The rows of a tensor (its innermost dimension), numbered in row-major order.
class Rows {
 public:
  explicit Rows(const Tensor& x)
      : x_(x),
        element_bytes_(static_cast<std::int64_t>(size_of(x.dtype()))),
        width_(x.rank() == 0 ? 1 : x.dim(-1)),
        count_(width_ == 0 ? 0 : x.elements() / width_) {}

  std::int64_t count() const { return count_; }
  std::int64_t width() const { return width_; }
  std::byte* operator[](std::int64_t row) const {
    std::int64_t offset = 0;
    for (int axis = x_.rank() - 2; axis >= 0; --axis) {
      offset += row % x_.dim(axis) * x_.stride(axis);
      row /= x_.dim(axis);
    }
    return x_.bytes() + offset * element_bytes_;
  }

 private:
  const Tensor& x_;
  std::int64_t element_bytes_;
  std::int64_t width_;
  std::int64_t count_;
};

/// Calls body(row) for all rows, split among threads.
template <typename Body>
void for_rows(const Rows& rows, Body body) {
  parallel_for(rows.count(), grain_for(rows.width()), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row)
      body(row);
  });
}

}  // namespace flux2
