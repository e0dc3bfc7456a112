#pragma once

#include <memory>
#include <span>
#include <vector>

#include "models/flux2/config.h"
#include "models/flux2/joint_attention.h"
#include "models/flux2/weights.h"
#include "ops/ops.h"

namespace flux2 {

/// How reference pictures condition a model.
enum class ReferenceUse {
  tokens,  ///< more image tokens behind the latents, computed in every step (dev, klein)
  cached,  ///< seen only by what attends to them: computed in the first step (klein KV)
};

/// What stays the same over the steps of a picture.
struct Conditioning {
  Tensor txt;         ///< [B, L, D], the embedded text
  Tensor references;  ///< [B, R, D], the embedded reference tokens; undefined without
  RopeTable txt_rope;
  RopeTable latent_rope;
  RopeTable reference_rope;
  ReferenceUse use = ReferenceUse::tokens;
  Tensor attention_bias;  ///< see ConditioningInputs
  /// Keys and values of cached references, one entry a block (double, then single); filled by
  /// the first step.
  std::vector<ReferenceKv> cache;
};

/// What condition() is made from.
struct ConditioningInputs {
  Tensor text;  ///< [B, L, text_dim]: prompt embeddings, padding included
  std::span<const Position> text_positions;
  std::span<const Position> latent_positions;
  Tensor references = {};  ///< [B, R, in_channels], normalised latents; undefined without
  std::span<const Position> reference_positions = {};
  ReferenceUse use = ReferenceUse::tokens;
  /// Added to the scores of every attention, f32 [B or 1, H or 1, J, J] over the tokens of [text ;
  /// latents ; references]; undefined: nothing. Has no effect beside cached references.
  Tensor attention_bias = {};
};

/// Flux2Transformer2DModel: predicts the velocity of latents under a text and references.
class Transformer {
 public:
  /// @throws Error bad_file: see WeightsTable::load
  static Transformer load(const Checkpoint& checkpoint, const TransformerConfig& config, Ops& ops,
                          const LoadProgress& progress = {});

  /// Without its weights: load them from weights() before anything else.
  explicit Transformer(const TransformerConfig& config);
  /// Every tensor of the model, to be loaded into this object or one that it was moved to.
  WeightsTable weights();

  const TransformerConfig& config() const { return config_; }

  Conditioning condition(Ops& ops, const ConditioningInputs& inputs) const;

  /// v = noise - picture, as the model sees it: x(sigma') = x(sigma) + (sigma' - sigma) v.
  /// @param latents    [B, S, in_channels], packed and normalised
  /// @param timesteps  B values in [0, 1]
  /// @param guidance   B values, or empty; ignored by a model without a guidance embedder
  /// @return [B, S, out_channels]
  Tensor velocity(Ops& ops, Conditioning& conditioning, const Tensor& latents,
                  std::span<const float> timesteps, std::span<const float> guidance) const;

 private:
  TransformerConfig config_;
  std::unique_ptr<TransformerWeights> weights_;  // fixed address: blocks refer to it
};

}  // namespace flux2
