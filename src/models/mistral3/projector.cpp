#include "models/mistral3/projector.h"

namespace flux2 {

Projector::Projector(const Mistral3Config& config)
    : vision_width_(config.vision->block.width),
      text_width_(config.text.block.width),
      merge_(config.merge_size),
      eps_(config.text.block.eps) {}

void Projector::declare(WeightsTable& table, const std::string& prefix) {
  const WeightsScope scope(table, prefix);
  const std::int64_t merged = vision_width_ * merge_ * merge_;
  scope.vector(norm_, {"norm.weight", {vision_width_}});
  scope.linear(merging_, {{"patch_merger.merging_layer.weight", {vision_width_, merged}}});
  scope.linear(linear_1_, {{"linear_1.weight", {text_width_, vision_width_}}});
  scope.linear(linear_2_, {{"linear_2.weight", {text_width_, text_width_}}});
}

// Projector of Mistral3:
//
//   m = Wmerge unfold(RmsNorm(x))        m x m patches become one token
//   y = W2 gelu(W1 m)
//
// The unfolding is done on the host: it happens once a picture, and no other part of FLUX.2
// needs such a permutation.
Tensor Projector::forward(Ops& ops, const Tensor& patches, const PatchGrid& grid) const {
  const Tensor normed = ops.rms_norm(patches, norm_, eps_);
  ops.mark("projector.norm", normed);
  const Tensor unfolded = unfold_patches(ops.download(normed), grid, merge_);
  const Tensor merged = ops.linear(ops.upload(unfolded, Role::operand), merging_);
  ops.mark("projector.merged", merged);
  const Tensor hidden = ops.activate(ops.linear(merged, linear_1_), Activation::gelu);
  const Tensor out = ops.linear(hidden, linear_2_, Role::stream);
  ops.mark("projector.output", out);
  return out;
}

Tensor unfold_patches(const Tensor& patches, const PatchGrid& grid, std::int64_t merge) {
  const std::int64_t width = patches.dim(2);
  const std::int64_t rows = grid.rows / merge;
  const std::int64_t columns = grid.columns / merge;
  const Tensor out = make_host_tensor({1, rows * columns, width * merge * merge});
  for (std::int64_t patch = 0; patch < grid.rows * grid.columns; ++patch) {
    const std::int64_t row = patch / grid.columns;
    const std::int64_t column = patch % grid.columns;
    const std::int64_t token = row / merge * columns + column / merge;
    const float* from = patches.f32() + patch * width;
    float* to = out.f32() + token * width * merge * merge + row % merge * merge + column % merge;
    for (std::int64_t c = 0; c < width; ++c)
      to[c * merge * merge] = from[c];
  }
  return out;
}

}  // namespace flux2
