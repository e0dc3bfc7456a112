#pragma once

#include <span>
#include <vector>

#include "backends/cpu/cpu_ops.h"
#include "backends/cpu/int8_kernels.h"
#include "tensor/weight.h"

namespace flux2 {

/// The best kernels of an instruction set.
const Int8Kernels& int8_kernels(Isa isa);

/// The rows of a linear layer as 8-bit integers with a scale each. A layer whose rows are stored
/// that way keeps its numbers. Any other is rotated first (Int8Rows::rotation) where that lowers
/// the error of its weights by enough to be worth rotating every input. Safe for several threads.
class Int8Quantizer {
 public:
  /// @param row_blocks  stacked; what they refer to must outlive this
  Int8Quantizer(const Int8Kernels& kernels, std::span<const StoredTensor> row_blocks);

  std::int64_t in() const { return in_; }
  std::int64_t out() const { return out_; }
  Rotation rotation() const { return rotation_; }

  /// Scratch of one thread.
  class Scratch {
   public:
    explicit Scratch(const Int8Quantizer& quantizer)
        : rows(static_cast<std::size_t>(quantizer.in())), rotated(rows.size()) {}

   private:
    friend Int8Quantizer;
    std::vector<float> rows, rotated;
    const StoredTensor* block = nullptr;  // of which `rows` holds [begin, end)
    std::int64_t begin = 0;
    std::int64_t end = 0;
  };
  /// Writes row `index`, padded to a multiple of kInt8OperandPadding, and returns its scale.
  float quantize(std::int64_t index, Scratch& scratch, std::int8_t* bytes) const;

 private:
  struct Place {
    const StoredTensor* block;
    std::int64_t row;
  };
  Place place_of(std::int64_t index) const;
  /// That row as floats; where it is read anew, up to `ahead` rows are.
  const float* row_of(const Place& place, std::int64_t ahead, Scratch& scratch) const;
  float quantize(const float* row, Rotation rotation, Scratch& scratch, std::int8_t* bytes) const;
  bool keeps_stored_rows() const;
  bool is_better_rotated() const;

  const Int8Kernels& kernels_;
  std::span<const StoredTensor> blocks_;
  std::int64_t in_ = 0;
  std::int64_t out_ = 0;
  Rotation rotation_ = Rotation::none;
  bool stored_ = false;
};

}  // namespace flux2
