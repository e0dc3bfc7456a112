#include "models/language/block.h"

namespace flux2 {
namespace {

// `count` heads of width `d` that begin at column `begin` of the stacked projections, as a view
// [B, L, count, d].
Tensor heads_at(const Tensor& qkv, std::int64_t begin, std::int64_t count, std::int64_t d) {
  return qkv.slice(2, begin, count * d).view({qkv.dim(0), qkv.dim(1), count, d});
}

}  // namespace

void PreNormBlock::declare(const WeightsScope& scope, const BlockNames& names) {
  const std::int64_t width = shape_.width;
  const std::int64_t q_rows = shape_.heads * shape_.head_dim;
  const std::int64_t kv_rows = shape_.kv_heads * shape_.head_dim;

  scope.vector(attention_norm_, {names.attention_norm + ".weight", {width}});
  const WeightsScope attention = scope.in(names.attention);
  attention.linear(qkv_, {{"q_proj.weight", {q_rows, width}},
                          {"k_proj.weight", {kv_rows, width}},
                          {"v_proj.weight", {kv_rows, width}}});
  if (shape_.qk_norm == QkNorm::rms) {
    attention.vector(q_norm_, {"q_norm.weight", {shape_.head_dim}});
    attention.vector(k_norm_, {"k_norm.weight", {shape_.head_dim}});
  }
  attention.linear(attention_out_, {{"o_proj.weight", {width, q_rows}}});

  scope.vector(mlp_norm_, {names.mlp_norm + ".weight", {width}});
  const WeightsScope mlp = scope.in(names.mlp);
  mlp.linear(gate_up_, {{"gate_proj.weight", {shape_.mlp_width, width}},
                        {"up_proj.weight", {shape_.mlp_width, width}}});
  mlp.linear(down_, {{"down_proj.weight", {width, shape_.mlp_width}}});
}

// Pre-norm transformer block with grouped-query attention:
//
//   n      = RmsNorm(x)
//   q,k,v  = heads(Wqkv n),  q,k = Rope(RmsNorm(q)), Rope(RmsNorm(k))
//   x     += Wout softmax(q k^T / sqrt(d) + mask) v
//   x     += Wdown SwiGlu(Wgate_up RmsNorm(x))
//
// The norm of q and k is Qwen3's; elsewhere they only rotate.
void PreNormBlock::forward(const PassContext& context, const Tensor& x, KeyValues* past) const {
  add_attention(context, x, past);
  add_mlp(context.ops, x);
}

void PreNormBlock::add_attention(const PassContext& context, const Tensor& x,
                                 KeyValues* past) const {
  Ops& ops = context.ops;
  const std::int64_t d = shape_.head_dim;
  const std::int64_t kv_begin = shape_.heads * d;
  const Tensor qkv = ops.linear(ops.rms_norm(x, attention_norm_, shape_.eps), qkv_);
  const Tensor q = heads_at(qkv, 0, shape_.heads, d);
  const Tensor k = heads_at(qkv, kv_begin, shape_.kv_heads, d);
  const Tensor v = heads_at(qkv, kv_begin + shape_.kv_heads * d, shape_.kv_heads, d);

  ops.rms_norm_rope(q, q_norm_, shape_.eps, context.rope, RopeLayout::halves);
  ops.rms_norm_rope(k, k_norm_, shape_.eps, context.rope, RopeLayout::halves);
  const KeyValueView seen = past ? past->append(ops, k, v) : KeyValueView{k, v};

  const Tensor attended = ops.attention(q, seen.keys, seen.values, context.mask);
  ops.linear_add_gated(attended.view({x.dim(0), x.dim(1), kv_begin}), attention_out_, {}, x);
}

void PreNormBlock::add_mlp(Ops& ops, const Tensor& x) const {
  const Tensor normed = ops.rms_norm(x, mlp_norm_, shape_.eps);
  ops.linear_add_gated(ops.swiglu(ops.linear(normed, gate_up_)), down_, {}, x);
}

}  // namespace flux2
