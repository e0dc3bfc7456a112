#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "diffusion/noise.h"
#include "diffusion/philox.h"
#include "diffusion/step.h"
#include "pipeline/activation_memory.h"
#include "pipeline/arrays.h"
#include "pipeline/check.h"
#include "pipeline/flop_count.h"
#include "pipeline/preview.h"
#include "pipeline/repaint.h"
#include "pipeline/stages.h"

namespace flux2 {
namespace {

// Latents stay f32 between steps whatever the matmuls compute in, so nothing is rounded here.
constexpr Arithmetic kArithmetic = Arithmetic::f32;

DType dtype_of(NoiseDType dtype) {
  switch (dtype) {
    case NoiseDType::bf16:
      return DType::bf16;
    case NoiseDType::f16:
      return DType::f16;
    case NoiseDType::f32:
      break;
  }
  return DType::f32;
}

NoiseSource noise_source(const Request& request) {
  NoiseSource source;
  source.dtype = dtype_of(request.noise_dtype);
  if (request.noise == Noise::torch_cpu_legacy) source.kind = NoiseKind::torch_cpu_legacy;
  if (request.noise == Noise::torch_cuda) {
    source.kind = NoiseKind::torch_cuda;
    source.card_threads = cuda_card_threads(request.cuda_card);
  }
  return source;
}

// What the caller's function draws, checked.
Tensor drawn_by_caller(const NoiseFunction& draw, const Shape& shape) {
  std::vector<std::int64_t> dims;
  for (int axis = 0; axis < shape.rank(); ++axis)
    dims.push_back(shape[axis]);
  const FloatArray noise = draw(dims);
  check_array(noise, "noise_source", dims.size());
  if (noise.shape != dims) {
    refuse("noise_source", fmt::format("drew shape {} where {} was asked for", shape_text(noise),
                                       shape.to_string()));
  }
  return to_tensor(noise);
}

// Rounded as a pipeline of that type would keep it.
void round_to(DType dtype, std::span<float> values) {
  if (dtype == DType::f32) return;
  std::vector<std::uint16_t> halves(values.size());
  convert_from_float(values.data(), dtype, halves.data(), values.size());
  convert_to_float(dtype, halves.data(), values.data(), values.size());
}

// The noise of the whole batch, [B, tokens, 128].
Tensor draw_noise(const StageContext& ctx) {
  const Request& request = ctx.call.request;
  const Shape shape = {ctx.call.batch, ctx.model.transformer.in_channels, ctx.call.grid.rows,
                       ctx.call.grid.columns};
  if (!request.latents && !request.noise_source) {
    return pack(initial_noise(noise_source(request), request.seeds, shape));
  }
  const Tensor given = request.latents ? make_host_tensor(shape, request.latents->values)
                                       : drawn_by_caller(request.noise_source, shape);
  round_to(dtype_of(request.noise_dtype), values_of(given));
  return pack(given);
}

// The loop over the steps of one call.
class Denoiser {
 public:
  Denoiser(const StageContext& ctx, DenoiseInputs inputs)
      : ctx_(ctx),
        inputs_(std::move(inputs)),
        previewer_(make_previewer(ctx, inputs_.references)),
        model_(ctx.parts.transformer(ctx.ops, ctx.monitor)),
        latent_positions_(latent_positions(ctx.call.grid)),
        reference_positions_(reference_positions(inputs_.references.grids)) {
    ctx.monitor.begin(Stage::denoise, ctx.call.schedule.steps());
    check_memory();
    if (ctx.call.request.attention_mask) upload_bias(*ctx.call.request.attention_mask);
    prompt_ = condition(inputs_.text.prompts);
    if (ctx.call.classifier_free) negative_ = condition(inputs_.text.negative);
    latents_ = draw_noise(ctx);
    if (!ctx.call.inpaint.empty()) begin_inpainting();
  }

  Denoised run() {
    Denoised result;
    for (int i = 0; i < ctx_.call.schedule.steps() && !interrupted_; ++i) {
      const auto begin = Monitor::Clock::now();
      step(static_cast<std::size_t>(i));
      if (options().callback_on_step_end) call_back(i);
      result.step_seconds.push_back(seconds_since(begin));
      ctx_.monitor.advance(i + 1);
    }
    check_finite();
    result.latents = latents_;
    return result;
  }

 private:
  const RunOptions& options() const { return ctx_.monitor.options(); }

  static std::optional<Previewer> make_previewer(const StageContext& ctx,
                                                 const ReferenceTokens& references) {
    if (!ctx.monitor.options().preview) return {};
    std::int64_t img = ctx.call.grid.tokens();
    const bool every_step = ctx.model.traits->references == ReferenceUse::tokens;
    if (every_step && references.tokens.defined()) img += references.tokens.dim(1);
    const double passes = ctx.call.classifier_free ? 2 : 1;
    return Previewer(ctx,
                     passes * transformer_flop(ctx.model.transformer, ctx.call.text_tokens(), img));
  }

  void upload_bias(const FloatArray& mask) {
    const AttentionShape shape = ctx_.call.attention_shape(ctx_.model.transformer);
    const bool ignored = ctx_.model.traits->references == ReferenceUse::cached &&
                         inputs_.references.tokens.defined();
    if (!ignored) bias_ = ctx_.ops.upload(attention_bias(mask, shape), Role::stream);
  }

  // Refuses what would be killed halfway, where no plan has seen to it.
  void check_memory() const {
    if (ctx_.parts.plan() != nullptr) return;
    std::int64_t tokens = inputs_.text.prompts.dim(1) + ctx_.call.grid.tokens();
    if (inputs_.references.tokens.defined()) tokens += inputs_.references.tokens.dim(1);
    const std::int64_t needed = transformer_activations(
        ctx_.model.transformer, ctx_.call.batch * tokens, ctx_.parts.operand_size());
    if (ctx_.parts.has_room(needed)) return;
    ctx_.parts.require(needed, fmt::format("a step over {} tokens", ctx_.call.batch * tokens),
                       "ask for smaller or fewer pictures, or fewer references");
  }

  // Given latents are noise and start in one; else the picture shows through from the start.
  void begin_inpainting() {
    const std::int64_t batch = ctx_.call.batch;
    std::vector<float> mask;  // [B * tokens], or empty
    for (std::int64_t b = 0; b < batch; ++b) {
      const std::vector<float>& own = ctx_.call.plan_of(b).mask;
      mask.insert(mask.end(), own.begin(), own.end());
    }
    const Tensor picture = inputs_.references.tokens.slice(1, 0, ctx_.call.grid.tokens());
    repaint_.emplace(repeat_rows(picture, batch), latents_, std::move(mask));
    const float sigma = ctx_.call.schedule.sigmas.front();
    latents_ = ctx_.call.request.latents ? copy_of(latents_) : repaint_->start(sigma);
  }

  Conditioning condition(const Tensor& text) {
    const std::int64_t batch = ctx_.call.batch;
    const std::vector<Position> positions = text_positions(text.dim(1));
    ConditioningInputs inputs = {.text = ctx_.ops.upload(repeat_rows(text, batch), Role::operand),
                                 .text_positions = positions,
                                 .latent_positions = latent_positions_,
                                 .use = ctx_.model.traits->references,
                                 .attention_bias = bias_};
    if (inputs_.references.tokens.defined()) {
      const Tensor tokens = repeat_rows(inputs_.references.tokens, batch);
      inputs.references = ctx_.ops.upload(tokens, Role::operand);
      inputs.reference_positions = reference_positions_;
    }
    return model_.condition(ctx_.ops, inputs);
  }

  Tensor velocity(Conditioning& conditioning, float timestep) {
    const auto batch = static_cast<std::size_t>(ctx_.call.batch);
    const std::vector<float> timesteps(batch, timestep);
    const std::vector<float> guidance(batch, static_cast<float>(*ctx_.call.request.guidance_scale));
    const bool embedded = ctx_.model.traits->guidance == GuidanceKind::embedded;
    const Tensor latents = ctx_.ops.upload(latents_, Role::operand);
    return ctx_.ops.download(model_.velocity(ctx_.ops, conditioning, latents, timesteps,
                                             embedded ? guidance : std::span<const float>()));
  }

  void step(std::size_t i) {
    const Schedule& schedule = ctx_.call.schedule;
    const float timestep = pipeline_timestep(schedule.timesteps[i], kArithmetic);
    const Tensor v = velocity(prompt_, timestep);
    if (ctx_.call.classifier_free) {
      const Tensor n = velocity(negative_, timestep);
      guide(values_of(v), values_of(n), static_cast<float>(*ctx_.call.request.guidance_scale),
            kArithmetic);
    }
    const Tensor estimate = previewer_ ? clean_estimate(v, schedule.sigmas[i]) : Tensor();
    euler_step(values_of(latents_), values_of(v),
               {.from = schedule.sigmas[i], .to = schedule.sigmas[i + 1]}, kArithmetic);
    if (repaint_) repaint_->restore(latents_, schedule.sigmas[i + 1]);
    if (previewer_) options().preview(previewer_->preview(estimate, static_cast<int>(i)));
  }

  // x0 = x - sigma v: what would be left if the velocity stayed the same.
  Tensor clean_estimate(const Tensor& v, float sigma) const {
    const Tensor estimate = copy_of(latents_);
    euler_step(values_of(estimate), values_of(v), {.from = sigma, .to = 0}, kArithmetic);
    if (repaint_) repaint_->restore(estimate, 0);
    return estimate;
  }

  void call_back(int i) {
    StepState state = {.step = i,
                       .timestep = ctx_.call.schedule.timesteps[static_cast<std::size_t>(i)],
                       .latents = to_array(latents_),
                       .prompt_embeds = to_array(inputs_.text.prompts)};
    const StepState before = state;
    options().callback_on_step_end(state);
    interrupted_ = state.interrupt;
    take_back(before.latents, state.latents, "latents", latents_);
    if (take_back(before.prompt_embeds, state.prompt_embeds, "prompt_embeds",
                  inputs_.text.prompts)) {
      prompt_ = condition(inputs_.text.prompts);
    }
  }

  // Copies what a callback changed into `target`; true if it changed anything.
  static bool take_back(const FloatArray& before, const FloatArray& after, const char* name,
                        Tensor& target) {
    if (after.shape != before.shape || after.values.size() != before.values.size()) {
      throw Error(ErrorCode::invalid_request,
                  std::string(name) + " must keep its shape " + Shape(before.shape).to_string(),
                  "callback_on_step_end");
    }
    if (after.values == before.values) return false;
    target = to_tensor(after);
    return true;
  }

  void check_finite() const {
    const std::span<const float> values = values_of(latents_);
    if (std::all_of(values.begin(), values.end(), [](float x) { return std::isfinite(x); })) return;
    throw Error(ErrorCode::internal, "the latents became NaN or infinite", ctx_.model.name,
                "check the weights with another copy of the model, or the input latents");
  }

  const StageContext& ctx_;
  DenoiseInputs inputs_;
  std::optional<Previewer> previewer_;
  const Transformer& model_;
  std::vector<Position> latent_positions_;
  std::vector<Position> reference_positions_;
  Conditioning prompt_;
  Conditioning negative_;
  Tensor bias_;     // of attention; undefined without a mask
  Tensor latents_;  // host [B, tokens, 128]
  std::optional<Repaint> repaint_;
  bool interrupted_ = false;
};

}  // namespace

Denoised denoise(const StageContext& ctx, DenoiseInputs inputs) {
  return Denoiser(ctx, std::move(inputs)).run();
}

}  // namespace flux2
