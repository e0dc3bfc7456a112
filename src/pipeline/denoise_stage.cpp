#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "diffusion/noise.h"
#include "diffusion/philox.h"
#include "diffusion/step.h"
#include "pipeline/activation_memory.h"
#include "pipeline/arrays.h"
#include "pipeline/memory.h"
#include "pipeline/repaint.h"
#include "pipeline/stages.h"

namespace flux2 {
namespace {

// Latents stay f32 between steps whatever the matmuls compute in, so nothing is rounded here.
constexpr Arithmetic kArithmetic = Arithmetic::f32;

// Rows of `x` [rows, ...], each repeated so that `batch` rows come out: all pictures of the first
// prompt, then those of the second.
Tensor repeat_rows(const Tensor& x, std::int64_t batch) {
  Shape shape = x.shape();
  shape.set(0, batch);
  Tensor repeated = make_host_tensor(shape);
  const std::int64_t each = batch / x.dim(0);
  for (std::int64_t row = 0; row < batch; ++row) {
    const Tensor from = x.slice(0, row / each, 1);
    std::copy_n(from.f32(), from.elements(), repeated.slice(0, row, 1).f32());
  }
  return repeated;
}

Tensor copy_of(const Tensor& dense) {
  return make_host_tensor(dense.shape(), values_of(dense));
}

NoiseSource noise_source(const Request& request) {
  NoiseSource source;
  source.dtype = request.noise_dtype == NoiseDType::bf16 ? DType::bf16 : DType::f32;
  if (request.noise == Noise::torch_cuda) {
    source.kind = NoiseKind::torch_cuda;
    source.card_threads = cuda_card_threads(request.cuda_card);
  }
  return source;
}

// The noise of the whole batch, [B, tokens, 128].
Tensor draw_noise(const StageContext& ctx) {
  const Request& request = ctx.call.request;
  const Shape shape = {ctx.call.batch, ctx.model.transformer.in_channels, ctx.call.grid.rows,
                       ctx.call.grid.columns};
  if (!request.latents) return pack(initial_noise(noise_source(request), request.seeds, shape));
  const Tensor given = make_host_tensor(shape, request.latents->values);
  if (request.noise_dtype == NoiseDType::bf16) {
    for (float& value : values_of(given))
      value = round_to_bf16(value);
  }
  return pack(given);
}

// The loop over the steps of one call.
class Denoiser {
 public:
  Denoiser(const StageContext& ctx, DenoiseInputs inputs)
      : ctx_(ctx),
        inputs_(std::move(inputs)),
        model_(ctx.parts.transformer(ctx.ops, ctx.monitor)),
        latent_positions_(latent_positions(ctx.call.grid)),
        reference_positions_(reference_positions(inputs_.references.grids)) {
    ctx.monitor.begin(Stage::denoise, ctx.call.schedule.steps());
    check_memory();
    prompt_ = condition(inputs_.text.prompts);
    if (ctx.call.classifier_free) negative_ = condition(inputs_.text.negative);
    latents_ = draw_noise(ctx);
    if (ctx.call.inpaint) begin_inpainting(*ctx.call.inpaint);
  }

  Denoised run() {
    Denoised result;
    for (int i = 0; i < ctx_.call.schedule.steps(); ++i) {
      const auto begin = Monitor::Clock::now();
      step(static_cast<std::size_t>(i));
      if (inputs_.options.callback_on_step_end) call_back(i);
      result.step_seconds.push_back(seconds_since(begin));
      ctx_.monitor.advance(i + 1);
    }
    check_finite();
    result.latents = latents_;
    return result;
  }

 private:
  // Refuses what would be killed halfway.
  void check_memory() const {
    std::int64_t tokens = inputs_.text.prompts.dim(1) + ctx_.call.grid.tokens();
    if (inputs_.references.tokens.defined()) tokens += inputs_.references.tokens.dim(1);
    const std::int64_t needed = transformer_activations(
        ctx_.model.transformer, ctx_.call.batch * tokens, ctx_.parts.operand_size());
    if (ctx_.parts.has_room(needed)) return;
    require_memory(needed, fmt::format("a step over {} tokens", ctx_.call.batch * tokens),
                   "ask for smaller or fewer pictures, or fewer references");
  }

  // Given latents are noise and start in one; else the picture shows through from the start.
  void begin_inpainting(const InpaintPlan& plan) {
    const Tensor picture = inputs_.references.tokens.slice(1, 0, plan.grid.tokens());
    repaint_.emplace(repeat_rows(picture, ctx_.call.batch), latents_, plan.mask);
    const float sigma = ctx_.call.schedule.sigmas.front();
    latents_ = ctx_.call.request.latents ? copy_of(latents_) : repaint_->start(sigma);
  }

  Conditioning condition(const Tensor& text) {
    const std::int64_t batch = ctx_.call.batch;
    const std::vector<Position> positions = text_positions(text.dim(1));
    ConditioningInputs inputs = {.text = ctx_.ops.upload(repeat_rows(text, batch), Role::operand),
                                 .text_positions = positions,
                                 .latent_positions = latent_positions_,
                                 .use = ctx_.model.traits->references};
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
    euler_step(values_of(latents_), values_of(v),
               {.from = schedule.sigmas[i], .to = schedule.sigmas[i + 1]}, kArithmetic);
    if (repaint_) repaint_->restore(latents_, schedule.sigmas[i + 1]);
  }

  void call_back(int i) {
    StepState state = {.step = i,
                       .timestep = ctx_.call.schedule.timesteps[static_cast<std::size_t>(i)],
                       .latents = to_array(latents_),
                       .prompt_embeds = to_array(inputs_.text.prompts)};
    const StepState before = state;
    inputs_.options.callback_on_step_end(state);
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
  const Transformer& model_;
  std::vector<Position> latent_positions_;
  std::vector<Position> reference_positions_;
  Conditioning prompt_;
  Conditioning negative_;
  Tensor latents_;  // host [B, tokens, 128]
  std::optional<Repaint> repaint_;
};

}  // namespace

Denoised denoise(const StageContext& ctx, DenoiseInputs inputs) {
  return Denoiser(ctx, std::move(inputs)).run();
}

}  // namespace flux2
