#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace flux2 {

struct StoredTensor;

/// How the rows of a matrix were turned before they were quantised, which spreads an outlier over
/// many numbers. A product with inputs that are turned the same way is the same.
enum class Rotation {
  none,
  /// r = w H / 8 with the 64 x 64 Hadamard matrix H, over a row as [64, in / 64] by its first axis;
  /// its own inverse.
  hadamard,
};
/// Rows that are rotated have a multiple of so many elements.
inline constexpr std::int64_t kRotationSize = 64;
/// Turns `row` (or turns it back), in place.
void rotate(Rotation rotation, std::span<float> row);

/// A matrix [out, in] that is stored as 8-bit integers with one scale a row:
/// rotated(W)[o, i] = values[o, i] * scales[o].
struct Int8Rows {
  std::span<const std::int8_t> values;  ///< [out, in], dense
  std::span<const float> scales;        ///< [out]
  Rotation rotation = Rotation::none;
};

/// The scales that a tensor is stored with: of rows, of blocks, or one for all of it.
struct ScaleRange {
  float least = 0;
  float most = 0;
  std::int64_t count = 0;
};

/// How a tensor is written down where its bytes are more than elements of a type: blocks of
/// quantised values, values with scales beside them, rows that come from several places, a change
/// on top of another tensor. It gives rows of floats; a row is what lies behind the first
/// dimension. Owns whatever it reads besides the tensor's own bytes. Safe for several threads.
class RowDecoder {
 public:
  virtual ~RowDecoder() = default;
  /// "Q4_K", "F8_E4M3 with a scale a row", ...: for people.
  virtual std::string_view name() const = 0;
  /// Writes rows [begin, begin + count) of `stored` to `rows`, dense.
  virtual void decode(const StoredTensor& stored, std::int64_t begin, std::int64_t count,
                      float* rows) const = 0;
  /// So many rows are decoded most cheaply at once.
  virtual std::int64_t rows_together() const { return 1; }
  /// The same numbers (perhaps rotated) as integers, where that is how they are stored; else
  /// nullptr.
  virtual const Int8Rows* int8_rows() const { return nullptr; }
  /// For people and checks: reads every scale. None where there are no scales.
  virtual std::optional<ScaleRange> scales(const StoredTensor&) const { return std::nullopt; }
};

/// A tensor as it lies in a checkpoint file: mapped bytes that nobody may write.
struct StoredTensor {
  std::string name;          ///< for errors
  std::string file;          ///< for errors
  DType dtype = DType::f32;  ///< of the elements in `bytes`; with a decoder, of what it reads
  Shape shape;               ///< of the numbers, whatever the bytes look like
  std::span<const std::byte> bytes;   ///< dense, row-major, possibly unaligned
  std::shared_ptr<const void> owner;  ///< the MappedFile that keeps `bytes` alive, or nullptr
  std::shared_ptr<const RowDecoder> decoder = {};  ///< nullptr: `bytes` are `shape` of `dtype`
};

/// Whether `stored` can be read as real numbers.
bool holds_numbers(const StoredTensor& stored);
/// "BF16", or what the decoder is called.
std::string_view encoding_of(const StoredTensor& stored);
/// Elements of a row: the product of all dimensions but the first. 1 for a scalar.
std::int64_t row_elements(const StoredTensor& stored);
/// How many rows are best read at once: at least 1.
std::int64_t rows_together(const StoredTensor& stored);
/// Writes rows [begin, begin + count) as floats, dense.   rows [count, row_elements(stored)]
void read_rows(const StoredTensor& stored, std::int64_t begin, std::int64_t count, float* rows);

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
  /// nullptr where it was prepared as something else.
  template <typename Prepared>
  const Prepared* prepared_as() const {
    return dynamic_cast<const Prepared*>(prepared_.get());
  }

 private:
  Shape shape_;
  std::shared_ptr<const PreparedWeight> prepared_;
};

}  // namespace flux2
