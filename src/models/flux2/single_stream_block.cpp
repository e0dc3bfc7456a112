#include "models/flux2/single_stream_block.h"

namespace flux2 {

// For the tokens x of [txt ; references ; img]:
//
//   h                   = (1 + scale) * LayerNorm(x) + shift
//   q, k, v, gate, up   = split(Win h),  q,k = Rope(RmsNorm(q)), Rope(RmsNorm(k))
//   a                   = softmax(q k^T / sqrt(d)) v
//   x                  += gate_mod * Wout [a ; silu(gate) * up]
//
// Attention and SwiGLU write side by side into the input of Wout.
void SingleStreamBlock::forward(const BlockContext& ctx, std::span<const SingleStream> streams,
                                ReferenceKv& references) const {
  Ops& ops = ctx.ops;
  const TransformerConfig& config = ctx.config;
  const JointLayout& layout = ctx.layout;
  const std::int64_t dim = config.dim();
  const std::int64_t mlp = config.mlp_hidden;
  const Shape projected_shape = {layout.batch, layout.tokens(), 3 * dim + 2 * mlp};
  const Tensor projected = ops.empty(projected_shape, Role::operand);
  const Tensor combined = ops.empty({layout.batch, layout.tokens(), dim + mlp}, Role::operand);
  const JointQkv joint(projected, config);

  for (const SingleStream& s : streams) {
    const Tensor h = ops.adaln(s.x, s.mod->scale, s.mod->shift, config.eps);
    ops.linear(h, weights_.qkv_mlp, s.run.of(projected));
    norm_and_rotate(ctx, joint, s.run, weights_.norm_q, weights_.norm_k, s.rope);
  }
  attend(ctx, joint, references, combined.slice(2, 0, dim).view(joint.q.shape()));

  for (const SingleStream& s : streams) {
    ops.swiglu(s.run.of(projected).slice(2, 3 * dim, 2 * mlp),
               s.run.of(combined).slice(2, dim, mlp));
    ops.linear_add_gated(s.run.of(combined), weights_.out, s.mod->gate, s.x);
  }
}

}  // namespace flux2
