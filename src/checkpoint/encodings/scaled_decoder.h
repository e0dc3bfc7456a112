#pragma once

#include <string>
#include <vector>

#include "tensor/weight.h"

namespace flux2 {

/// Scales over a matrix: scale [i / rows, k / columns] belongs to element [i, k].
struct ScaleGrid {
  std::vector<float> scales;  ///< [ceil(out / rows), ceil(in / columns)]
  std::int64_t rows = 1;      ///< of a block
  std::int64_t columns = 1;   ///< of a block
};

/// FP8 or 8-bit integers [out, in] with scales beside them: W[i, k] = element[i, k] * scale; of
/// rotated rows these are what the rotation of W gave.
class ScaledDecoder final : public RowDecoder {
 public:
  /// @param weight  its elements are f8_e4m3, f8_e5m2 or i8
  /// @param kind    for people: "a scale", "a scale a row", "scales of 128x128 blocks"
  ScaledDecoder(const StoredTensor& weight, ScaleGrid grid, const std::string& kind,
                Rotation rotation = Rotation::none);

  std::string_view name() const override { return name_; }
  void decode(const StoredTensor& stored, std::int64_t begin, std::int64_t count,
              float* rows) const override;
  const Int8Rows* int8_rows() const override { return int8_.scales.empty() ? nullptr : &int8_; }
  std::optional<ScaleRange> scales(const StoredTensor&) const override;

 private:
  ScaleGrid grid_;
  std::string name_;
  Rotation rotation_;
  std::vector<float> row_scales_;  // of int8_
  Int8Rows int8_;                  // empty unless the elements are integers with scales of rows
};

}  // namespace flux2
