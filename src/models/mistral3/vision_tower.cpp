#include "models/mistral3/vision_tower.h"

#include "models/language/rotary.h"

namespace flux2 {
namespace {

const BlockNames kBlockNames = {.attention_norm = "attention_norm",
                                .attention = "attention",
                                .mlp_norm = "ffn_norm",
                                .mlp = "feed_forward"};

}  // namespace

VisionTower::VisionTower(const VisionConfig& config)
    : config_(config),
      blocks_(static_cast<std::size_t>(config.layers), PreNormBlock(config.block)) {}

void VisionTower::declare(WeightsTable& table, const std::string& prefix) {
  const std::int64_t width = config_.block.width;
  const std::int64_t patch = config_.patch_size;
  table.add({.kind = WeightKind::conv2d,
             .sources = {{prefix + "patch_conv.weight", {width, config_.channels, patch, patch}}},
             .bias = {},
             .weight = &patch_conv_,
             .vector = nullptr});
  const WeightsScope tower(table, prefix);
  tower.vector(pre_norm_, {"ln_pre.weight", {width}});
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    blocks_[i].declare(tower.in("transformer").in("layers", static_cast<std::int64_t>(i)),
                       kBlockNames);
  }
}

// Pixtral:
//
//   x = RmsNorm(Conv(picture))        one patch of p x p pixels a token
//   x = block(x)  for every layer     full attention, rotated by row and column
//
// There is no norm after the last layer.
Tensor VisionTower::forward(Ops& ops, const Tensor& picture) const {
  const std::int64_t rows = picture.dim(1) / config_.patch_size;
  const std::int64_t columns = picture.dim(2) / config_.patch_size;
  const std::int64_t width = config_.block.width;

  const Tensor patches = ops.empty({1, rows, columns, width}, Role::stream);
  ops.conv2d(
      picture, patch_conv_,
      {.stride = config_.patch_size, .pad_top = 0, .pad_left = 0, .pad_bottom = 0, .pad_right = 0},
      patches);
  ops.mark("vision.patch_conv", patches);

  const Tensor x = ops.empty({1, rows * columns, width}, Role::stream);
  ops.rms_norm(patches.view(x.shape()), pre_norm_, config_.block.eps, x);
  ops.mark("vision.ln_pre", x);

  const PassContext context = {
      .ops = ops,
      .rope = make_rope_table(ops, patch_angles(config_, rows, columns), rows * columns),
      .mask = {}};
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    blocks_[i].forward(context, x);
    ops.mark("vision.layer" + std::to_string(i), x);
  }
  ops.mark("vision.output", x);
  return x;
}

std::vector<float> patch_angles(const VisionConfig& config, std::int64_t rows,
                                std::int64_t columns) {
  const std::vector<float> frequencies = rope_frequencies(config.block.head_dim, config.rope_theta);
  std::vector<float> angles;
  angles.reserve(static_cast<std::size_t>(rows * columns) * frequencies.size());
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t column = 0; column < columns; ++column) {
      for (std::size_t i = 0; i < frequencies.size(); i += 2)
        angles.push_back(static_cast<float>(row) * frequencies[i]);
      for (std::size_t i = 1; i < frequencies.size(); i += 2)
        angles.push_back(static_cast<float>(column) * frequencies[i]);
    }
  }
  return angles;
}

}  // namespace flux2
