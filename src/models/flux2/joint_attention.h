#pragma once

#include <cstdint>
#include <vector>

#include "models/flux2/config.h"
#include "models/flux2/rope.h"
#include "ops/ops.h"

namespace flux2 {

/// Keys (after rope) and values of the reference tokens in one block, [B, R, H, d] each.
struct ReferenceKv {
  Tensor k;
  Tensor v;
};

/// How the reference tokens of klein KV take part in a step. Other models treat reference tokens
/// as more image tokens: then there are none here.
enum class ReferenceStep {
  none,     ///< no reference tokens of their own
  extract,  ///< they are computed, see only each other, and leave their keys and values behind
  reuse,    ///< only their keys and values take part
};

/// The joint sequence that attention runs over: text, then references, then image tokens.
struct JointLayout {
  std::int64_t batch = 1;
  std::int64_t txt = 0;         ///< tokens
  std::int64_t references = 0;  ///< tokens
  std::int64_t img = 0;         ///< tokens
  ReferenceStep step = ReferenceStep::none;

  std::int64_t tokens() const { return txt + references + img; }
  std::int64_t img_place() const { return txt + references; }
};

/// A run of tokens inside the joint sequence.
struct TokenRun {
  std::int64_t place = 0;  ///< first token
  std::int64_t count = 0;

  Tensor of(const Tensor& joint) const { return joint.slice(1, place, count); }
};

/// Queries, keys and values of the joint sequence, [B, L, H, d] each: views of the first 3D
/// columns of one tensor.
struct JointQkv {
  JointQkv(const Tensor& columns, const TransformerConfig& config);

  Tensor q;
  Tensor k;
  Tensor v;
};

/// What a block needs besides its weights and its input.
struct BlockContext {
  Ops& ops;
  const TransformerConfig& config;
  const JointLayout& layout;
  /// Added to the scores of the joint sequence, [B or 1, H or 1, L, L]; undefined: nothing.
  Tensor bias = {};
};

/// q, k = rope(rms_norm(q)), rope(rms_norm(k)) of the tokens of `run`, in place.
void norm_and_rotate(const BlockContext& ctx, const JointQkv& joint, const TokenRun& run,
                     const Tensor& norm_q, const Tensor& norm_k, const RopeTable& rope);

/// out = softmax(q k^T / sqrt(d)) v over the joint sequence. Extracting, text and image tokens see
/// everything and references see references, whose k and v are stored in `references`; reusing,
/// they are taken from there and reference rows of `out` are left alone. The bias of the context
/// counts only where references are no tokens of their own.
/// @param out  [B, L, H, d]
void attend(const BlockContext& ctx, const JointQkv& joint, ReferenceKv& references,
            const Tensor& out);

}  // namespace flux2
