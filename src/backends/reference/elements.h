#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/parallel.h"
#include "tensor/tensor.h"

namespace flux2::reference {

/// std::size_t of an index that is known not to be negative.
constexpr std::size_t index(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

/// Number of rows: the product of all dimensions but the last.
std::int64_t rows_of(const Tensor& tensor);

/// All elements of a tensor with any strides, row-major.
std::vector<float> read(const Tensor& tensor);
/// Rounds `values` (row-major) to float, then to the element type of `tensor`, and stores them.
void write(const Tensor& tensor, std::span<const double> values);

/// Calls body(i) for every i in [0, count), on several threads where that pays. `body` must not
/// throw.
/// @param work  rough number of innermost steps of one call
template <typename Body>
void for_each(std::int64_t count, std::int64_t work, Body&& body) {
  constexpr std::int64_t kWorthAThread = 1 << 15;
  const std::int64_t grain = 1 + kWorthAThread / (work + 1);
  parallel_for(count, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      body(i);
  });
}

}  // namespace flux2::reference
