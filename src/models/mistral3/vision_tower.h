#pragma once

#include <string>
#include <vector>

#include "checkpoint/weights_table.h"
#include "models/language/block.h"
#include "models/mistral3/config.h"
#include "ops/ops.h"

namespace flux2 {

/// Pixtral: a picture becomes one token a patch.
class VisionTower {
 public:
  explicit VisionTower(const VisionConfig& config);

  /// @param prefix  "vision_tower." with whatever stands before it
  void declare(WeightsTable& table, const std::string& prefix);

  /// picture [1, H, W, C], sides a multiple of the patch size; returns [1, H/p * W/p, D], rows of
  /// patches from the top, a stream. One picture at a time: patches of different pictures do not
  /// see each other.
  Tensor forward(Ops& ops, const Tensor& picture) const;

 private:
  VisionConfig config_;
  Weight patch_conv_;
  Tensor pre_norm_;
  std::vector<PreNormBlock> blocks_;
};

/// Angles of patch (h, w) of a grid: [h theta^(-2i/d) for even i, w theta^(-2i/d) for odd i],
/// [rows * columns, d/2] row-major, in float32 as transformers computes them.
std::vector<float> patch_angles(const VisionConfig& config, std::int64_t rows,
                                std::int64_t columns);

}  // namespace flux2
