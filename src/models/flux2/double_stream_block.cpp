#include "models/flux2/double_stream_block.h"

namespace flux2 {
namespace {

void project_qkv(const BlockContext& ctx, const StreamWeights& weights, const DoubleStream& s,
                 const Tensor& qkv) {
  const Modulation& mod = s.mod->attention;
  const Tensor h = ctx.ops.adaln(s.x, mod.scale, mod.shift, ctx.config.eps);
  ctx.ops.linear(h, weights.qkv, s.run.of(qkv));
  norm_and_rotate(ctx, JointQkv(qkv, ctx.config), s.run, weights.norm_q, weights.norm_k, s.rope);
}

void add_attention_and_mlp(const BlockContext& ctx, const StreamWeights& weights,
                           const Tensor& attended, const DoubleStream& s) {
  ctx.ops.linear_add_gated(attended, weights.out, s.mod->attention.gate, s.x);

  const Modulation& mod = s.mod->mlp;
  const Tensor h = ctx.ops.adaln(s.x, mod.scale, mod.shift, ctx.config.eps);
  const Tensor active = ctx.ops.swiglu(ctx.ops.linear(h, weights.mlp_up));
  ctx.ops.linear_add_gated(active, weights.mlp_down, mod.gate, s.x);
}

}  // namespace

const StreamWeights& DoubleStreamBlock::weights_of(const DoubleStream& stream) const {
  return stream.kind == DoubleStream::Kind::txt ? weights_.txt : weights_.img;
}

// For each stream s of [txt ; references ; img]:
//
//   h     = (1 + scale1) * LayerNorm(x_s) + shift1                        adaln
//   q,k,v = heads(Wqkv h),  q,k = Rope(RmsNorm(q)), Rope(RmsNorm(k))
//   a     = softmax(q k^T / sqrt(d)) v           over the joint sequence, text first
//   x_s  += gate1 * Wout a_s
//   x_s  += gate2 * Wdown SwiGlu(Wup adaln2(x_s))
//
// A stream writes its q, k, v straight into its place in the joint sequence: nothing is
// concatenated or split.
void DoubleStreamBlock::forward(const BlockContext& ctx, std::span<const DoubleStream> streams,
                                ReferenceKv& references) const {
  const JointLayout& layout = ctx.layout;
  const std::int64_t dim = ctx.config.dim();
  const Tensor qkv = ctx.ops.empty({layout.batch, layout.tokens(), 3 * dim}, Role::operand);
  for (const DoubleStream& s : streams)
    project_qkv(ctx, weights_of(s), s, qkv);

  const JointQkv joint(qkv, ctx.config);
  const Tensor attended = ctx.ops.empty({layout.batch, layout.tokens(), dim}, Role::operand);
  attend(ctx, joint, references, attended.view(joint.q.shape()));  // the streams meet here

  for (const DoubleStream& s : streams) {
    add_attention_and_mlp(ctx, weights_of(s), s.run.of(attended), s);
  }
}

}  // namespace flux2
