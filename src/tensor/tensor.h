#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace flux2 {

/// A block of memory that tensors share. Where it lives and how it is given back is the business
/// of whoever made it.
struct Storage {
  void* data = nullptr;
  std::size_t bytes = 0;

  Storage() = default;
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  virtual ~Storage() = default;
};

/// A handle to elements in memory: a view of a Storage that it keeps alive.
///
/// Rows are contiguous (the last stride is 1); the outer dimensions have free strides, so that a
/// range of tokens or of columns is a view and never a copy. Copying a Tensor copies the handle.
/// `const` is of the handle: an operation may write through a `const Tensor&`.
class Tensor {
 public:
  /// An empty handle: no storage, rank 0.
  Tensor() = default;
  /// A dense view at the start of `storage`, which must hold shape.elements() elements.
  Tensor(std::shared_ptr<Storage> storage, DType dtype, const Shape& shape);

  bool defined() const { return storage_ != nullptr; }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  std::int64_t dim(int axis) const { return shape_[axis]; }
  std::int64_t elements() const { return shape_.elements(); }
  /// Elements from one index of `axis` to the next; negative axes count from the end.
  std::int64_t stride(int axis) const {
    return strides_[static_cast<std::size_t>(axis < 0 ? axis + rank() : axis)];
  }
  /// True if the elements lie one after another in row-major order.
  bool is_dense() const;

  template <typename T>
  T* data() const {
    return static_cast<T*>(static_cast<void*>(bytes()));
  }
  float* f32() const { return data<float>(); }
  BFloat16* bf16() const { return data<BFloat16>(); }
  std::byte* bytes() const {
    return storage_ ? static_cast<std::byte*>(storage_->data) + offset_bytes_ : nullptr;
  }

  /// Indices [begin, begin + size) of `axis`. A view.
  Tensor slice(int axis, std::int64_t begin, std::int64_t size) const;
  /// The same elements under another shape. A view.
  /// Splitting or merging dimensions must be possible without moving an element: merged
  /// dimensions must be dense among themselves.
  Tensor view(const Shape& shape) const;
  /// Index `index` of axis 0, which disappears. A view.
  Tensor operator[](std::int64_t index) const;

 private:
  std::shared_ptr<Storage> storage_;
  std::size_t offset_bytes_ = 0;
  DType dtype_ = DType::f32;
  Shape shape_;
  std::array<std::int64_t, Shape::kMaxRank> strides_{};
};

/// Bytes that a dense tensor takes.
std::size_t bytes_for(const Shape& shape, DType dtype);

/// A new dense tensor in ordinary host memory, uninitialised, 64-byte aligned.
/// @throws Error out_of_memory
Tensor make_host_tensor(const Shape& shape, DType dtype = DType::f32);
/// A host tensor that holds `values`, f32.
Tensor make_host_tensor(const Shape& shape, std::span<const float> values);
/// Every element of a host tensor of floating dtype as float, row-major.
std::vector<float> to_vector(const Tensor& tensor);

}  // namespace flux2
