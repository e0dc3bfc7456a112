#pragma once

#include <span>

#include "models/flux2/joint_attention.h"
#include "models/flux2/modulation.h"
#include "models/flux2/weights.h"

namespace flux2 {

/// Tokens that pass a single-stream block with the same modulation: all of them, or, where klein
/// KV modulates references apart, a part.
struct SingleStream {
  TokenRun run;           ///< place in the joint sequence
  Tensor x;               ///< [B, run.count, D], updated in place
  const Modulation* mod;  ///< not owned
  RopeTable rope;         ///< of these tokens
};

/// Single-stream block: attention and MLP in parallel, from one projection and into one.
class SingleStreamBlock {
 public:
  explicit SingleStreamBlock(const SingleStreamWeights& weights) : weights_(weights) {}

  void forward(const BlockContext& ctx, std::span<const SingleStream> streams,
               ReferenceKv& references) const;

 private:
  const SingleStreamWeights& weights_;
};

}  // namespace flux2
