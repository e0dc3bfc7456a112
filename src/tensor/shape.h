#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace flux2 {

/// The dimensions of a tensor, outermost first; up to kMaxRank of them, none negative.
class Shape {
 public:
  static constexpr int kMaxRank = 6;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> dims);
  explicit Shape(std::span<const std::int64_t> dims);

  int rank() const { return rank_; }
  /// Dimension `axis`; negative axes count from the end.
  std::int64_t operator[](int axis) const {
    return dims_[static_cast<std::size_t>(axis < 0 ? axis + rank_ : axis)];
  }
  void set(int axis, std::int64_t size) {
    dims_[static_cast<std::size_t>(axis < 0 ? axis + rank_ : axis)] = size;
  }
  /// Product of all dimensions; 1 for rank 0.
  std::int64_t elements() const;
  /// "[2, 3, 4]"
  std::string to_string() const;

  bool operator==(const Shape& other) const;

 private:
  std::array<std::int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

}  // namespace flux2
