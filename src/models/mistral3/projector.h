#pragma once

#include <cstdint>
#include <string>

#include "checkpoint/weights_table.h"
#include "models/mistral3/config.h"
#include "ops/ops.h"

namespace flux2 {

/// Patches of a picture, rows from the top.
struct PatchGrid {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
};

/// Turns the vision tower's patches into embeddings that the language model reads.
class Projector {
 public:
  /// @param config  with a vision tower
  explicit Projector(const Mistral3Config& config);

  /// @param prefix  "multi_modal_projector." with whatever stands before it
  void declare(WeightsTable& table, const std::string& prefix);

  /// patches [1, rows * columns, vision width], rows and columns a multiple of the merge size m;
  /// returns [1, rows/m * columns/m, text width], a stream.
  Tensor forward(Ops& ops, const Tensor& patches, const PatchGrid& grid) const;

 private:
  std::int64_t vision_width_;
  std::int64_t text_width_;
  std::int64_t merge_;
  float eps_;
  Tensor norm_;
  Weight merging_;
  Weight linear_1_;
  Weight linear_2_;
};

/// Lays the m x m patches that are merged beside each other: [1, rows * columns, D] becomes
/// [1, rows/m * columns/m, D m m] with column c m m + y m + x, torch's order of `unfold`.
/// Host tensors, f32.
Tensor unfold_patches(const Tensor& patches, const PatchGrid& grid, std::int64_t merge);

}  // namespace flux2
