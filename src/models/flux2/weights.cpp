#include "models/flux2/weights.h"

namespace flux2 {
namespace {

// Diffusers' names of one stream's tensors inside a double-stream block.
struct StreamNames {
  const char *q, *k, *v, *norm_q, *norm_k, *out, *mlp_up, *mlp_down;
};
constexpr StreamNames kImgNames = {
    "attn.to_q.weight",   "attn.to_k.weight",     "attn.to_v.weight",    "attn.norm_q.weight",
    "attn.norm_k.weight", "attn.to_out.0.weight", "ff.linear_in.weight", "ff.linear_out.weight"};
constexpr StreamNames kTxtNames = {"attn.add_q_proj.weight",      "attn.add_k_proj.weight",
                                   "attn.add_v_proj.weight",      "attn.norm_added_q.weight",
                                   "attn.norm_added_k.weight",    "attn.to_add_out.weight",
                                   "ff_context.linear_in.weight", "ff_context.linear_out.weight"};

// Declared in the order that a block uses them: both streams' projections come first.
void declare_projections(const WeightsScope& block, StreamWeights& weights,
                         const StreamNames& names, const TransformerConfig& config) {
  const std::int64_t d = config.dim();
  block.linear(weights.qkv, {{names.q, {d, d}}, {names.k, {d, d}}, {names.v, {d, d}}});
  block.vector(weights.norm_q, {names.norm_q, {config.head_dim}});
  block.vector(weights.norm_k, {names.norm_k, {config.head_dim}});
}

void declare_outputs(const WeightsScope& block, StreamWeights& weights, const StreamNames& names,
                     const TransformerConfig& config) {
  const std::int64_t d = config.dim();
  const std::int64_t m = config.mlp_hidden;
  block.linear(weights.out, {{names.out, {d, d}}});
  block.linear(weights.mlp_up, {{names.mlp_up, {2 * m, d}}});
  block.linear(weights.mlp_down, {{names.mlp_down, {d, m}}});
}

void declare_single(const WeightsScope& block, SingleStreamWeights& weights,
                    const TransformerConfig& config) {
  const std::int64_t d = config.dim();
  const std::int64_t m = config.mlp_hidden;
  block.linear(weights.qkv_mlp, {{"attn.to_qkv_mlp_proj.weight", {3 * d + 2 * m, d}}});
  block.vector(weights.norm_q, {"attn.norm_q.weight", {config.head_dim}});
  block.vector(weights.norm_k, {"attn.norm_k.weight", {config.head_dim}});
  block.linear(weights.out, {{"attn.to_out.weight", {d, d + m}}});
}

void declare_embedder(const WeightsScope& scope, EmbedderWeights& weights,
                      const TransformerConfig& config) {
  const std::int64_t d = config.dim();
  scope.linear(weights.linear_1, {{"linear_1.weight", {d, config.timestep_channels}}});
  scope.linear(weights.linear_2, {{"linear_2.weight", {d, d}}});
}

}  // namespace

void declare(WeightsTable& table, TransformerWeights& weights, const TransformerConfig& config) {
  const WeightsScope model(table);
  const std::int64_t d = config.dim();
  model.linear(weights.x_embedder, {{"x_embedder.weight", {d, config.in_channels}}});
  model.linear(weights.context_embedder, {{"context_embedder.weight", {d, config.text_dim}}});

  const WeightsScope time = model.in("time_guidance_embed");
  declare_embedder(time.in("timestep_embedder"), weights.timestep, config);
  if (config.guidance_embeds) {
    declare_embedder(time.in("guidance_embedder"), weights.guidance, config);
  }

  model.linear(weights.double_modulation_img,
               {{"double_stream_modulation_img.linear.weight", {6 * d, d}}});
  model.linear(weights.double_modulation_txt,
               {{"double_stream_modulation_txt.linear.weight", {6 * d, d}}});
  model.linear(weights.single_modulation, {{"single_stream_modulation.linear.weight", {3 * d, d}}});

  weights.double_blocks.resize(static_cast<std::size_t>(config.double_blocks));
  for (std::int64_t i = 0; i < config.double_blocks; ++i) {
    const WeightsScope block = model.in("transformer_blocks", i).tolerant();
    DoubleStreamWeights& target = weights.double_blocks[static_cast<std::size_t>(i)];
    declare_projections(block, target.txt, kTxtNames, config);
    declare_projections(block, target.img, kImgNames, config);
    declare_outputs(block, target.txt, kTxtNames, config);
    declare_outputs(block, target.img, kImgNames, config);
  }
  weights.single_blocks.resize(static_cast<std::size_t>(config.single_blocks));
  for (std::int64_t i = 0; i < config.single_blocks; ++i) {
    declare_single(model.in("single_transformer_blocks", i).tolerant(),
                   weights.single_blocks[static_cast<std::size_t>(i)], config);
  }

  model.linear(weights.norm_out, {{"norm_out.linear.weight", {2 * d, d}}});
  model.linear(weights.proj_out, {{"proj_out.weight", {config.out_channels, d}}});
}

}  // namespace flux2
