#pragma once

#include <span>

#include "models/flux2/joint_attention.h"
#include "models/flux2/modulation.h"
#include "models/flux2/weights.h"

namespace flux2 {

/// Tokens that pass a double-stream block with the same weights and modulation: the text, the
/// image tokens, or the references of klein KV.
struct DoubleStream {
  enum class Kind { txt, img };  ///< whose weights

  Kind kind = Kind::img;
  TokenRun run;                 ///< place in the joint sequence
  Tensor x;                     ///< [B, run.count, D], updated in place
  const StreamModulation* mod;  ///< not owned
  RopeTable rope;               ///< of these tokens
};

/// Double-stream block: text and image tokens keep separate weights and meet in one attention.
class DoubleStreamBlock {
 public:
  explicit DoubleStreamBlock(const DoubleStreamWeights& weights) : weights_(weights) {}

  void forward(const BlockContext& ctx, std::span<const DoubleStream> streams,
               ReferenceKv& references) const;

 private:
  const StreamWeights& weights_of(const DoubleStream& stream) const;

  const DoubleStreamWeights& weights_;
};

}  // namespace flux2
