#pragma once

#include <cstdint>
#include <string>

#include "checkpoint/weights_table.h"
#include "models/language/kv_cache.h"
#include "ops/ops.h"

namespace flux2 {

/// Whether queries and keys are normalised over a head before they rotate.
enum class QkNorm {
  none,  ///< Mistral, Pixtral
  rms,   ///< Qwen3
};

/// The sizes of a pre-norm transformer block.
struct BlockShape {
  std::int64_t width = 0;      ///< D, of the residual stream
  std::int64_t heads = 0;      ///< H; H d need not be D
  std::int64_t kv_heads = 0;   ///< Hkv, a divisor of H
  std::int64_t head_dim = 0;   ///< d, even
  std::int64_t mlp_width = 0;  ///< M
  float eps = 1e-6f;           ///< of every RMS norm
  QkNorm qk_norm = QkNorm::none;
};

/// What one model family calls the parts of a block.
struct BlockNames {
  std::string attention_norm;
  std::string attention;
  std::string mlp_norm;
  std::string mlp;
};

/// What all blocks of a forward pass share.
struct PassContext {
  Ops& ops;
  RopeTable rope;  ///< of the tokens in this pass
  AttentionMask mask;
};

/// The block that Qwen3, Mistral and Pixtral are made of; they differ in sizes and names only.
class PreNormBlock {
 public:
  explicit PreNormBlock(const BlockShape& shape) : shape_(shape) {}

  /// Declares the block's tensors, to be loaded into this object.
  void declare(const WeightsScope& scope, const BlockNames& names);

  /// x [B, L, D], a stream, in place.
  /// @param past  keys and values of earlier tokens, to which this pass adds its own; or nullptr
  void forward(const PassContext& context, const Tensor& x, KeyValues* past = nullptr) const;

 private:
  void add_attention(const PassContext& context, const Tensor& x, KeyValues* past) const;
  void add_mlp(Ops& ops, const Tensor& x) const;

  BlockShape shape_;
  Tensor attention_norm_;
  Weight qkv_;
  Tensor q_norm_;
  Tensor k_norm_;
  Weight attention_out_;
  Tensor mlp_norm_;
  Weight gate_up_;
  Weight down_;
};

}  // namespace flux2
