#include "tensor/tensor.h"

#include <algorithm>
#include <cassert>
#include <new>

#include "flux2/error.h"

namespace flux2 {
namespace {

constexpr std::size_t kAlignment = 64;  // a cache line, and the widest vector register

struct HostStorage final : Storage {
  explicit HostStorage(std::size_t size) {
    bytes = size;
    data =
        ::operator new (std::max<std::size_t>(size, 1), std::align_val_t{kAlignment}, std::nothrow);
    if (data == nullptr) {
      throw Error(ErrorCode::out_of_memory,
                  "no memory for a tensor of " + std::to_string(size) + " bytes", "",
                  "use a smaller size, fewer pictures at once or a machine with more memory");
    }
  }
  ~HostStorage() override { ::operator delete (data, std::align_val_t{kAlignment}); }
};

}  // namespace

Tensor::Tensor(std::shared_ptr<Storage> storage, DType dtype, const Shape& shape)
    : storage_(std::move(storage)), dtype_(dtype), shape_(shape) {
  assert(storage_ && bytes_for(shape, dtype) <= storage_->bytes);
  std::int64_t stride = 1;
  for (int axis = rank() - 1; axis >= 0; --axis) {
    strides_[static_cast<std::size_t>(axis)] = stride;
    stride *= shape_[axis];
  }
}

bool Tensor::is_dense() const {
  std::int64_t expected = 1;
  for (int axis = rank() - 1; axis >= 0; --axis) {
    if (shape_[axis] != 1 && stride(axis) != expected) return false;
    expected *= shape_[axis];
  }
  return true;
}

Tensor Tensor::slice(int axis, std::int64_t begin, std::int64_t size) const {
  assert(begin >= 0 && size >= 0 && begin + size <= dim(axis));
  Tensor result = *this;
  result.shape_.set(axis, size);
  result.offset_bytes_ += static_cast<std::size_t>(begin * stride(axis)) * size_of(dtype_);
  return result;
}

Tensor Tensor::operator[](std::int64_t index) const {
  assert(rank() > 0 && index >= 0 && index < dim(0));
  Tensor result = slice(0, index, 1);
  std::vector<std::int64_t> dims;
  for (int axis = 1; axis < rank(); ++axis)
    dims.push_back(dim(axis));
  result.shape_ = Shape(std::span<const std::int64_t>(dims));
  std::copy(strides_.begin() + 1, strides_.end(), result.strides_.begin());
  return result;
}

// Walks both shapes from the innermost dimension, matching groups of equal size; inside a group
// the old dimensions must be dense among themselves.
Tensor Tensor::view(const Shape& shape) const {
  assert(shape.elements() == elements());
  if (elements() == 0) return Tensor(storage_, dtype_, shape);
  Tensor result = *this;
  result.shape_ = shape;
  int old_axis = rank() - 1;
  std::int64_t group = 1;  // elements of the old group not yet given to new dimensions
  std::int64_t stride_now = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    const std::int64_t size = shape[axis];
    if (size == 1) {
      result.strides_[static_cast<std::size_t>(axis)] = stride_now;
      continue;
    }
    if (group == 1) {
      while (old_axis >= 0 && dim(old_axis) == 1)
        --old_axis;
      group = dim(old_axis);
      stride_now = stride(old_axis--);
    }
    result.strides_[static_cast<std::size_t>(axis)] = stride_now;
    while (group < size || group % size != 0) {
      while (old_axis >= 0 && dim(old_axis) == 1)
        --old_axis;
      if (old_axis < 0 || stride(old_axis) != stride_now * group) {
        throw Error(ErrorCode::internal, "a strided tensor of shape " + shape_.to_string() +
                                             " cannot be viewed as " + shape.to_string());
      }
      group *= dim(old_axis--);
    }
    group /= size;
    stride_now *= size;
  }
  return result;
}

std::size_t bytes_for(const Shape& shape, DType dtype) {
  return static_cast<std::size_t>(shape.elements()) * size_of(dtype);
}

Tensor make_host_tensor(const Shape& shape, DType dtype) {
  return {std::make_shared<HostStorage>(bytes_for(shape, dtype)), dtype, shape};
}

Tensor make_host_tensor(const Shape& shape, std::span<const float> values) {
  Tensor tensor = make_host_tensor(shape);
  assert(static_cast<std::int64_t>(values.size()) == shape.elements());
  std::copy(values.begin(), values.end(), tensor.f32());
  return tensor;
}

std::vector<float> to_vector(const Tensor& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.elements()));
  if (values.empty()) return values;
  if (tensor.is_dense()) {
    convert_to_float(tensor.dtype(), tensor.bytes(), values.data(), values.size());
    return values;
  }
  const std::size_t inner = values.size() / static_cast<std::size_t>(tensor.dim(0));
  for (std::int64_t i = 0; i < tensor.dim(0); ++i) {
    const std::vector<float> part = to_vector(tensor[i]);
    std::copy(part.begin(), part.end(), values.begin() + i * static_cast<std::int64_t>(inner));
  }
  return values;
}

}  // namespace flux2
