#include "models/autoencoder/coder.h"

#include <string>

namespace flux2 {
namespace {

constexpr ConvGeometry kSame3x3 = {};
constexpr ConvGeometry k1x1 = {1, 0, 0, 0, 0};
// One row and column of zeros at the end only, as the encoder was trained.
constexpr ConvGeometry kHalving3x3 = {2, 0, 0, 1, 1};

Tensor convolved(Ops& ops, const Tensor& x, const Weight& weight, const ConvGeometry& geometry,
                 Role role) {
  const std::int64_t shrink = geometry.stride;
  Tensor out =
      ops.empty({x.dim(0), x.dim(1) / shrink, x.dim(2) / shrink, weight.out_features()}, role);
  ops.conv2d(x, weight, geometry, out);
  return out;
}

Tensor normed(Ops& ops, const Tensor& x, const GroupNorm& norm, Activation activation) {
  Tensor out = ops.empty(x.shape(), Role::operand);
  ops.group_norm(x, norm, activation, out);
  return out;
}

//   h = conv1(silu(GroupNorm(x)));   h = conv2(silu(GroupNorm(h)));   x = shortcut(x) + h
// Where there is no shortcut, x itself is added to: the caller's tensor is used up.
Tensor resnet(Ops& ops, const ResnetWeights& weights, Tensor x) {
  const Tensor h = convolved(ops, normed(ops, x, weights.norm1, Activation::silu), weights.conv1,
                             kSame3x3, Role::operand);
  ops.group_norm(h, weights.norm2, Activation::silu, h);
  if (weights.shortcut.defined()) x = convolved(ops, x, weights.shortcut, k1x1, Role::stream);
  ops.conv2d_add(h, weights.conv2, kSame3x3, x);
  return x;
}

//   h = GroupNorm(x);   x += Wout softmax(q k^T / sqrt(C)) v + b     over all pixels, in place
void attend_pixels(Ops& ops, const PixelAttentionWeights& weights, const Tensor& x) {
  const std::int64_t channels = x.dim(3);
  const Shape tokens = {x.dim(0), x.dim(1) * x.dim(2), channels};
  const Shape one_head = {tokens[0], tokens[1], 1, channels};
  const Tensor h = normed(ops, x, weights.norm, Activation::none).view(tokens);
  const Tensor attended = ops.attention(ops.linear(h, weights.q).view(one_head),
                                        ops.linear(h, weights.k).view(one_head),
                                        ops.linear(h, weights.v).view(one_head));
  ops.linear_add_gated(attended.view(tokens), weights.out, {}, x.view(tokens));
}

Tensor mid_block(Ops& ops, const MidBlockWeights& weights, const Tensor& input,
                 const std::string& name) {
  const Tensor x = resnet(ops, weights.before, input);
  if (weights.attention.q.defined()) attend_pixels(ops, weights.attention, x);
  ops.mark(name + ".attn", x);
  Tensor out = resnet(ops, weights.after, x);
  ops.mark(name, out);
  return out;
}

Tensor level(Ops& ops, const LevelWeights& weights, Tensor x) {
  for (const ResnetWeights& block : weights.resnets)
    x = resnet(ops, block, std::move(x));
  return x;
}

Tensor head(Ops& ops, const CoderWeights& weights, const Tensor& x, const std::string& coder) {
  const Tensor active = normed(ops, x, weights.norm_out, Activation::silu);
  ops.mark(coder + ".norm_out", active);
  Tensor out = convolved(ops, active, weights.conv_out, kSame3x3, Role::stream);
  ops.mark(coder + ".conv_out", out);
  return out;
}

Tensor doubled(Ops& ops, const Tensor& x, const Weight& weight, Role role) {
  Tensor out = ops.empty({x.dim(0), 2 * x.dim(1), 2 * x.dim(2), weight.out_features()}, role);
  ops.upsample_conv2d(x, weight, out);
  return out;
}

// Where a level's first resnet has a shortcut, nothing is added to the level's input: only
// convolutions and a norm read it.
Role role_into(const LevelWeights& level) {
  return level.resnets.front().shortcut.defined() ? Role::operand : Role::stream;
}

}  // namespace

Tensor encode_picture(Ops& ops, const CoderWeights& weights, const Tensor& picture) {
  Tensor x = convolved(ops, picture, weights.conv_in, kSame3x3, Role::stream);
  ops.mark("enc.conv_in", x);
  for (std::size_t i = 0; i < weights.levels.size(); ++i) {
    const LevelWeights& now = weights.levels[i];
    x = level(ops, now, std::move(x));
    if (now.resample.defined()) x = convolved(ops, x, now.resample, kHalving3x3, Role::stream);
    ops.mark("enc.down" + std::to_string(i), x);
  }
  x = mid_block(ops, weights.mid, x, "enc.mid");
  Tensor moments = head(ops, weights, x, "enc");
  if (weights.quant.defined()) moments = convolved(ops, moments, weights.quant, k1x1, Role::stream);
  return moments;
}

Tensor decode_latents(Ops& ops, const CoderWeights& weights, const Tensor& latents) {
  Tensor x = latents;
  if (weights.quant.defined()) x = convolved(ops, x, weights.quant, k1x1, Role::stream);
  ops.mark("dec.post_quant", x);
  x = convolved(ops, x, weights.conv_in, kSame3x3, Role::stream);
  ops.mark("dec.conv_in", x);
  x = mid_block(ops, weights.mid, x, "dec.mid");
  for (std::size_t i = 0; i < weights.levels.size(); ++i) {
    const LevelWeights& now = weights.levels[i];
    x = level(ops, now, std::move(x));
    if (now.resample.defined()) {
      x = doubled(ops, x, now.resample, role_into(weights.levels[i + 1]));
      ops.trim();  // the next level's tensors have other sizes
    }
    ops.mark("dec.up" + std::to_string(i), x);
  }
  return head(ops, weights, x, "dec");
}

}  // namespace flux2
