#include "flux2/pipeline.h"

#include <fmt/format.h>

#include <mutex>

#include "base/parallel.h"
#include "base/pinning.h"
#include "flux2/version.h"
#include "pipeline/adapters.h"
#include "pipeline/arrays.h"
#include "pipeline/backend.h"
#include "pipeline/call.h"
#include "pipeline/check.h"
#include "pipeline/machine_rates.h"
#include "pipeline/memory.h"
#include "pipeline/model_folder.h"
#include "pipeline/monitor.h"
#include "pipeline/parts.h"
#include "pipeline/planner.h"
#include "pipeline/stages.h"
#include "pipeline/stoppable_ops.h"
#include "pipeline/vae_calls.h"
#include "pipeline/velocity.h"

namespace flux2 {
class Pipeline::Impl {
 public:
  Impl(const ModelSource& source, const PipelineOptions& options)
      : folder_(ModelFolder::open(source)),
        options_(options),
        backend_(backend_for(folder_, options)),
        info_(describe_model(folder_, *backend_.ops)),
        program_bytes_(program_memory()),
        parts_(folder_, backend_, options.residency, options.memory_limit),
        shelf_(folder_) {
    const auto& cache = options.prompt_cache;
    if (cache) prompt_cache_.emplace(*cache);
  }

  const ModelInfo& info() const { return info_; }
  const Backend& backend() const { return backend_; }

  /// Runs `work` with the parts of the model while no other call does.
  template <typename Work>
  auto alone(const RunOptions& options, const std::string& what, const Work& work) {
    const std::lock_guard lock(mutex_);
    set_thread_count(backend_.threads);
    const PinnedThreads pinned(processors_to_pin(backend_));
    Monitor monitor(options);
    StoppableOps ops(*backend_.ops, monitor);
    try {
      return work(PartsContext{folder_, parts_, ops, monitor});
    } catch (const std::bad_alloc&) {
      throw Error(ErrorCode::out_of_memory, "no memory for " + what, "",
                  "ask for fewer or smaller pictures");
    }
  }

  Result generate(const Request& request, const RunOptions& options) {
    Call call = resolve(request, folder_);
    check_output(call, options);
    const std::string work =
        fmt::format("{} pictures of {} x {}", call.batch, call.width(), call.height());
    return alone(options, work, [&](const PartsContext& ctx) {
      const Plan planned = plan_call(call, options);
      const FollowedPlan followed(parts_, planned);
      for (const std::string& choice : planned.given_up)
        ctx.monitor.warn(choice);
      std::vector<AdapterReport> reports =
          put_on(ctx, call.request.adapters, call.request.adapter_scale);
      for (std::size_t i = 0; i < reports.size(); ++i)
        call.request.adapters[i].sha256 = reports[i].sha256;
      Result result = run({ctx, call, prompt_cache_ ? &*prompt_cache_ : nullptr}, call);
      result.adapters = std::move(reports);
      return result;
    });
  }

  Plan plan(const Request& request, const RunOptions& options) {
    const Call call = resolve(request, folder_);
    check_output(call, options);
    const std::lock_guard lock(mutex_);
    if (!rates_) rates_ = measure_rates(backend_);
    return plan_call(call, options, rates_);
  }

  FloatArray predict_velocity(const VelocityInputs& inputs, const RunOptions& options) {
    check_adapters(inputs.adapters, inputs.adapter_scale);
    return alone(options, "a step", [&](const PartsContext& ctx) {
      put_on(ctx, inputs.adapters, inputs.adapter_scale);
      return flux2::predict_velocity(ctx, inputs);
    });
  }

  AdapterReport inspect_adapter(const Adapter& adapter) {
    check_adapters({adapter}, 1);
    return alone({}, "the adapter",
                 [&](const PartsContext&) { return shelf_.prepare({adapter}, 1, {}).reports[0]; });
  }

 private:
  // The usual call decides where memory is limited.
  static Backend backend_for(const ModelFolder& model, const PipelineOptions& options) {
    if (options.memory_limit <= 0) return make_backend(options);
    return choose_backend(model, options, usual_workload(model));
  }

  // While it lives, parts are held as the plan says.
  class FollowedPlan {
   public:
    FollowedPlan(Parts& parts, const Plan& plan) : parts_(parts) { parts_.follow(&plan); }
    ~FollowedPlan() { parts_.follow(nullptr); }
    FollowedPlan(const FollowedPlan&) = delete;
    FollowedPlan& operator=(const FollowedPlan&) = delete;

   private:
    Parts& parts_;
  };

  Plan plan_call(const Call& call, const RunOptions& options,
                 const std::optional<MachineRates>& rates = {}) const {
    const Workload work = workload_of(call, options);
    set_thread_count(backend_.threads);
    return make_plan({.model = folder_,
                      .work = work,
                      .backend = backend_,
                      .options = options_,
                      .tiling = options.vae_tiling,
                      .program_bytes = program_bytes_,
                      .rates = rates});
  }

  // The parts of `ctx` have these adapters and no others from here on.
  std::vector<AdapterReport> put_on(const PartsContext& ctx, const std::vector<Adapter>& adapters,
                                    double scale) {
    CallAdapters prepared = shelf_.prepare(adapters, scale, ctx.monitor.options().stop);
    ctx.parts.use(prepared);
    for (const AdapterReport& report : prepared.reports) {
      for (const std::string& key : report.left_out)
        ctx.monitor.warn(fmt::format("adapter {}: \"{}\" is left out", report.name, key));
    }
    return std::move(prepared.reports);
  }

  // What is put back into the caller's picture has its 8 bits.
  static void check_output(const Call& call, const RunOptions& options) {
    if (options.output != Output::pixels || call.inpaint.empty()) return;
    if (call.inpaint.front().finish == InpaintPlan::Finish::as_painted) return;
    refuse("output",
           "pixels are what was painted, and padding_mask_crop and keep_unmasked put it "
           "back into the picture",
           "ask for images");
  }

  static Result run(const StageContext& ctx, Call& call) {
    const Output output = ctx.monitor.options().output;
    Result result;
    result.rewritten_prompts = upsample_prompts(ctx);
    const TextEmbeddings text = encode_text(
        ctx, result.rewritten_prompts.empty() ? call.request.prompt : result.rewritten_prompts);
    ctx.parts.end_text();
    result.cached_prompts = text.cached;
    result.prompt_embeds = to_array(text.prompts);
    if (output != Output::prompt_embeds) {
      Denoised denoised = denoise(ctx, {.text = text, .references = encode_references(ctx)});
      result.latents = to_array(denoised.latents);
      result.step_seconds = std::move(denoised.step_seconds);
      if (output != Output::latents) {
        Decoded decoded = decode(ctx, denoised.latents);
        result.images = std::move(decoded.images);
        result.pixels = std::move(decoded.pixels);
      }
    }
    ctx.monitor.end();
    result.request = std::move(call.request);
    result.times = ctx.monitor.times();
    result.peak_memory_bytes = peak_memory();
    result.warnings = std::move(call.warnings);
    const std::vector<std::string>& noticed = ctx.monitor.warnings();
    result.warnings.insert(result.warnings.end(), noticed.begin(), noticed.end());
    return result;
  }

  ModelFolder folder_;
  PipelineOptions options_;
  Backend backend_;
  ModelInfo info_;
  std::int64_t program_bytes_;
  Parts parts_;
  AdapterShelf shelf_;
  std::optional<PromptCache> prompt_cache_;
  std::optional<MachineRates> rates_;  ///< once a plan was asked for
  std::mutex mutex_;
};

Pipeline::Pipeline(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Pipeline::Pipeline(Pipeline&&) noexcept = default;
Pipeline& Pipeline::operator=(Pipeline&&) noexcept = default;
Pipeline::~Pipeline() = default;

Pipeline Pipeline::load(const std::string& model, const PipelineOptions& options) {
  return load(ModelSource{.model = model}, options);
}

Pipeline Pipeline::load(const ModelSource& source, const PipelineOptions& options) {
  return Pipeline(std::make_unique<Impl>(source, options));
}

const ModelInfo& Pipeline::info() const {
  return impl_->info();
}
Compute Pipeline::compute() const {
  return impl_->backend().compute;
}
int Pipeline::threads() const {
  return impl_->backend().threads;
}

std::string Pipeline::backend() const {
  return describe_backend(impl_->backend());
}

Result Pipeline::generate(const Request& request, const RunOptions& options) const {
  return impl_->generate(request, options);
}

LatentDistribution Pipeline::encode_image(const FloatArray& pixels,
                                          const RunOptions& options) const {
  return impl_->alone(options, "encoding",
                      [&](const PartsContext& ctx) { return flux2::encode_image(ctx, pixels); });
}

FloatArray Pipeline::decode_latents(const FloatArray& latents, const RunOptions& options) const {
  return impl_->alone(options, "decoding",
                      [&](const PartsContext& ctx) { return flux2::decode_latents(ctx, latents); });
}

FloatArray Pipeline::pack_latents(const FloatArray& latents) const {
  return impl_->alone({}, "the latents",
                      [&](const PartsContext& ctx) { return flux2::pack_latents(ctx, latents); });
}

FloatArray Pipeline::unpack_latents(const FloatArray& tokens, int height, int width) const {
  return impl_->alone({}, "the latents", [&](const PartsContext& ctx) {
    return flux2::unpack_latents(ctx, tokens, {width, height});
  });
}

FloatArray Pipeline::predict_velocity(const VelocityInputs& inputs,
                                      const RunOptions& options) const {
  return impl_->predict_velocity(inputs, options);
}

Plan Pipeline::plan(const Request& request, const RunOptions& options) const {
  return impl_->plan(request, options);
}

AdapterReport Pipeline::inspect_adapter(const Adapter& adapter) const {
  return impl_->inspect_adapter(adapter);
}

const char* version() {
  return FLUX2_VERSION;
}

}  // namespace flux2
