#include "pipeline/velocity.h"

#include <fmt/format.h>

#include <cmath>

#include "diffusion/positions.h"
#include "pipeline/activation_memory.h"
#include "pipeline/arrays.h"
#include "pipeline/attention_bias.h"
#include "pipeline/check.h"

namespace flux2 {
namespace {

constexpr float kMostScale = 1e6F;  // of a timestep or a guidance scale

void check_states(const FloatArray& states, const char* argument, std::int64_t width) {
  check_array(states, argument, 3);
  if (states.shape[2] == width) return;
  refuse(argument, fmt::format("shape {} does not fit [B, tokens, {}]", shape_text(states), width));
}

void check_ids(const std::vector<Position>& ids, const char* argument, std::int64_t tokens) {
  if (static_cast<std::int64_t>(ids.size()) == tokens) return;
  refuse(argument, fmt::format("{} places for {} tokens", ids.size(), tokens));
}

// One value a sample.
std::vector<float> for_each_sample(const std::vector<float>& given, const char* argument,
                                   std::int64_t batch) {
  const auto count = static_cast<std::int64_t>(given.size());
  if (count != 1 && count != batch) {
    refuse(argument,
           fmt::format("{} values for {} samples: give one, or one a sample", count, batch));
  }
  for (const float value : given) {
    if (!(std::abs(value) <= kMostScale)) refuse(argument, fmt::format("cannot be {}", value));
  }
  return count == batch ? given
                        : std::vector<float>(static_cast<std::size_t>(batch), given.front());
}

void check(const VelocityInputs& inputs, const TransformerConfig& config) {
  check_states(inputs.hidden_states, "hidden_states", config.in_channels);
  check_states(inputs.encoder_hidden_states, "encoder_hidden_states", config.text_dim);
  const std::int64_t batch = inputs.hidden_states.shape[0];
  if (inputs.encoder_hidden_states.shape[0] != batch) {
    refuse("encoder_hidden_states",
           fmt::format("{} texts for {} samples", inputs.encoder_hidden_states.shape[0], batch));
  }
  check_ids(inputs.img_ids, "img_ids", inputs.hidden_states.shape[1]);
  if (!inputs.txt_ids.empty())
    check_ids(inputs.txt_ids, "txt_ids", inputs.encoder_hidden_states.shape[1]);
}

void check_memory(const PartsContext& ctx, std::int64_t tokens) {
  const std::int64_t needed =
      transformer_activations(ctx.model.transformer, tokens, ctx.parts.operand_size());
  if (ctx.parts.has_room(needed)) return;
  ctx.parts.require(needed, fmt::format("a step over {} tokens", tokens), "give fewer tokens");
}

}  // namespace

FloatArray predict_velocity(const PartsContext& ctx, const VelocityInputs& inputs) {
  const TransformerConfig& config = ctx.model.transformer;
  check(inputs, config);
  const std::int64_t batch = inputs.hidden_states.shape[0];
  const std::int64_t txt = inputs.encoder_hidden_states.shape[1];
  const std::int64_t tokens = txt + inputs.hidden_states.shape[1];
  const std::vector<float> timesteps = for_each_sample(inputs.timestep, "timestep", batch);
  std::vector<float> guidance;
  if (!inputs.guidance.empty()) guidance = for_each_sample(inputs.guidance, "guidance", batch);
  Tensor bias;
  if (inputs.attention_mask) {
    bias = attention_bias(*inputs.attention_mask,
                          {.batch = batch, .heads = config.heads, .tokens = tokens});
  }

  const Transformer& model = ctx.parts.transformer(ctx.ops, ctx.monitor);
  ctx.monitor.begin(Stage::denoise, 1);
  check_memory(ctx, batch * tokens);
  const std::vector<Position> places =
      inputs.txt_ids.empty() ? text_positions(txt) : inputs.txt_ids;
  Conditioning conditioning = model.condition(
      ctx.ops, {.text = ctx.ops.upload(to_tensor(inputs.encoder_hidden_states), Role::operand),
                .text_positions = places,
                .latent_positions = inputs.img_ids,
                .attention_bias = bias.defined() ? ctx.ops.upload(bias, Role::stream) : Tensor()});
  const Tensor latents = ctx.ops.upload(to_tensor(inputs.hidden_states), Role::operand);
  const Tensor velocity =
      ctx.ops.download(model.velocity(ctx.ops, conditioning, latents, timesteps, guidance));
  ctx.monitor.advance(1);
  return to_array(velocity);
}

}  // namespace flux2
