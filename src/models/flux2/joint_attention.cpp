#include "models/flux2/joint_attention.h"

namespace flux2 {
namespace {

Tensor as_heads(const Tensor& columns, std::int64_t index, const TransformerConfig& config) {
  const Tensor slice = columns.slice(2, index * config.dim(), config.dim());
  return slice.view({slice.dim(0), slice.dim(1), config.heads, config.head_dim});
}

void attend_rows(const BlockContext& ctx, const TokenRun& rows, const JointQkv& joint,
                 const Tensor& out) {
  ctx.ops.attention(rows.of(joint.q), joint.k, joint.v, {}, rows.of(out));
}

Tensor copied(Ops& ops, const Tensor& x) {
  const Tensor copy = ops.empty(x.shape(), Role::operand);
  ops.copy(x, copy);
  return copy;
}

}  // namespace

JointQkv::JointQkv(const Tensor& columns, const TransformerConfig& config)
    : q(as_heads(columns, 0, config)),
      k(as_heads(columns, 1, config)),
      v(as_heads(columns, 2, config)) {}

void norm_and_rotate(const BlockContext& ctx, const JointQkv& joint, const TokenRun& run,
                     const Tensor& norm_q, const Tensor& norm_k, const RopeTable& rope) {
  const float eps = ctx.config.eps;
  ctx.ops.rms_norm_rope(run.of(joint.q), norm_q, eps, rope, RopeLayout::pairs);
  ctx.ops.rms_norm_rope(run.of(joint.k), norm_k, eps, rope, RopeLayout::pairs);
}

void attend(const BlockContext& ctx, const JointQkv& joint, ReferenceKv& references,
            const Tensor& out) {
  const JointLayout& layout = ctx.layout;
  if (layout.step == ReferenceStep::none)
    return ctx.ops.attention(joint.q, joint.k, joint.v,
                             {.causality = Causality::full, .keys = {}, .bias = ctx.bias}, out);

  const TokenRun txt = {0, layout.txt};
  const TokenRun ref = {layout.txt, layout.references};
  const TokenRun img = {layout.img_place(), layout.img};
  if (layout.step == ReferenceStep::extract) {
    references = {copied(ctx.ops, ref.of(joint.k)), copied(ctx.ops, ref.of(joint.v))};
    ctx.ops.attention(ref.of(joint.q), ref.of(joint.k), ref.of(joint.v), {}, ref.of(out));
  } else {
    ctx.ops.copy(references.k, ref.of(joint.k));
    ctx.ops.copy(references.v, ref.of(joint.v));
  }
  attend_rows(ctx, txt, joint, out);
  attend_rows(ctx, img, joint, out);
}

}  // namespace flux2
