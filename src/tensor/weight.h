#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace flux2 {

/// A tensor as it lies in a checkpoint file: mapped bytes that nobody may write.
struct StoredTensor {
  std::string name;  ///< for errors
  std::string file;  ///< for errors
  DType dtype = DType::f32;
  Shape shape;
  std::span<const std::byte> bytes;   ///< dense, row-major, possibly unaligned
  std::shared_ptr<const void> owner;  ///< keeps `bytes` alive
};

/// What a backend made of a stored weight: packed, converted, quantised, in its own layout.
class PreparedWeight {
 public:
  virtual ~PreparedWeight() = default;
};

/// What `linear` or `conv2d` multiplies with. Only the backend that prepared it can look inside.
class Weight {
 public:
  Weight() = default;
  Weight(Shape shape, std::shared_ptr<const PreparedWeight> prepared)
      : shape_(shape), prepared_(std::move(prepared)) {}

  bool defined() const { return prepared_ != nullptr; }
  /// [out, in] for linear, [out, in, kernel height, kernel width] for conv2d.
  const Shape& shape() const { return shape_; }
  std::int64_t out_features() const { return shape_[0]; }
  std::int64_t in_features() const { return shape_[1]; }

  template <typename Prepared>
  const Prepared& prepared() const {
    return static_cast<const Prepared&>(*prepared_);
  }

 private:
  Shape shape_;
  std::shared_ptr<const PreparedWeight> prepared_;
};

}  // namespace flux2
