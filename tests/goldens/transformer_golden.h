#pragma once

#include <string>
#include <vector>

#include "golden.h"
#include "models/flux2/transformer.h"

namespace flux2::golden {

/// transformer/ of a checkpoint below data/checkpoints.
std::filesystem::path transformer_folder(const std::string& checkpoint);
TransformerConfig transformer_config(const std::string& checkpoint);
Transformer load_transformer(const std::string& checkpoint, const TransformerConfig& config,
                             Ops& ops);

/// The inputs of one golden forward pass.
struct Forward {
  /// @param prefix  of the tensors' names: "", "extract.", "cached."
  Forward(const GoldenFile& file, const std::string& prefix);

  /// Without references: all image tokens are latents.
  ConditioningInputs inputs() const;
  /// The first `count` image tokens are references (klein KV puts them there).
  ConditioningInputs inputs_with_leading_references(std::int64_t count) const;
  /// The image tokens behind the first `latent_count` are references.
  ConditioningInputs inputs_with_trailing_references(std::int64_t latent_count) const;

  Tensor latents;  ///< [B, S, 128]
  Tensor text;     ///< [B, L, text width]
  std::vector<float> timesteps;
  std::vector<float> guidance;
  std::vector<Position> img_positions;
  std::vector<Position> txt_positions;
};

/// The velocity of all image tokens, on the host.
Tensor velocity(Ops& ops, const Transformer& model, const Forward& forward);

}  // namespace flux2::golden
