#include "backends/reference/elements.h"

namespace flux2::reference {
namespace {

// Where row `row` (counted over all outer dimensions) begins.
std::byte* row_address(const Tensor& tensor, std::int64_t row) {
  std::int64_t offset = 0;
  for (int axis = tensor.rank() - 2; axis >= 0; --axis) {
    offset += row % tensor.dim(axis) * tensor.stride(axis);
    row /= tensor.dim(axis);
  }
  return tensor.bytes() + offset * static_cast<std::int64_t>(size_of(tensor.dtype()));
}

}  // namespace

std::int64_t rows_of(const Tensor& tensor) {
  std::int64_t rows = 1;
  for (int axis = 0; axis < tensor.rank() - 1; ++axis)
    rows *= tensor.dim(axis);
  return rows;
}

std::vector<float> read(const Tensor& tensor) {
  const std::int64_t width = tensor.dim(-1);
  std::vector<float> values(index(tensor.elements()));
  for_each(rows_of(tensor), width, [&](std::int64_t row) {
    convert_to_float(tensor.dtype(), row_address(tensor, row), &values[index(row * width)],
                     index(width));
  });
  return values;
}

void write(const Tensor& tensor, std::span<const double> values) {
  const std::int64_t width = tensor.dim(-1);
  const std::vector<float> rounded(values.begin(), values.end());
  for_each(rows_of(tensor), width, [&](std::int64_t row) {
    convert_from_float(&rounded[index(row * width)], tensor.dtype(), row_address(tensor, row),
                       index(width));
  });
}

}  // namespace flux2::reference
