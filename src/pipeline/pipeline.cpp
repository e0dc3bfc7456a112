#include "flux2/pipeline.h"

#include <fmt/format.h>

#include <mutex>

#include "base/parallel.h"
#include "flux2/version.h"
#include "pipeline/arrays.h"
#include "pipeline/backend.h"
#include "pipeline/call.h"
#include "pipeline/memory.h"
#include "pipeline/model_folder.h"
#include "pipeline/monitor.h"
#include "pipeline/parts.h"
#include "pipeline/stages.h"
#include "pipeline/stoppable_ops.h"

namespace flux2 {
class Pipeline::Impl {
 public:
  Impl(const std::string& model, const PipelineOptions& options)
      : folder_(ModelFolder::open(find_model(model))),
        info_(inspect_model(folder_.path)),
        backend_(make_backend(options)),
        parts_(folder_, backend_, options.residency) {}

  const ModelInfo& info() const { return info_; }
  const Backend& backend() const { return backend_; }

  Result generate(const Request& request, const RunOptions& options) {
    Call call = resolve(request, folder_);
    const std::lock_guard lock(mutex_);
    set_thread_count(backend_.threads);
    try {
      return run(call, options);
    } catch (const std::bad_alloc&) {
      throw Error(ErrorCode::out_of_memory,
                  fmt::format("no memory for {} pictures of {} x {}", call.batch, call.width(),
                              call.height()),
                  "", "ask for fewer or smaller pictures");
    }
  }

 private:
  Result run(Call& call, const RunOptions& options) {
    Monitor monitor(options);
    StoppableOps ops(*backend_.ops, monitor);
    const StageContext ctx = {folder_, call, parts_, ops, monitor};

    std::vector<std::string> rewritten = upsample_prompts(ctx);
    const TextEmbeddings text =
        encode_text(ctx, rewritten.empty() ? call.request.prompt : rewritten);
    const ReferenceTokens references = encode_references(ctx);
    Denoised denoised = denoise(ctx, {.text = text, .references = references, .options = options});
    Result result;
    if (!options.latents_only) result.images = decode(ctx, denoised.latents);
    monitor.end();

    result.latents = to_array(denoised.latents);
    result.prompt_embeds = to_array(text.prompts);
    result.rewritten_prompts = std::move(rewritten);
    result.request = std::move(call.request);
    result.times = monitor.times();
    result.step_seconds = std::move(denoised.step_seconds);
    result.peak_memory_bytes = peak_memory();
    result.warnings = std::move(call.warnings);
    result.warnings.insert(result.warnings.end(), monitor.warnings().begin(),
                           monitor.warnings().end());
    return result;
  }

  ModelFolder folder_;
  ModelInfo info_;
  Backend backend_;
  Parts parts_;
  std::mutex mutex_;
};

Pipeline::Pipeline(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Pipeline::Pipeline(Pipeline&&) noexcept = default;
Pipeline& Pipeline::operator=(Pipeline&&) noexcept = default;
Pipeline::~Pipeline() = default;

Pipeline Pipeline::load(const std::string& model, const PipelineOptions& options) {
  return Pipeline(std::make_unique<Impl>(model, options));
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
  const Backend& backend = impl_->backend();
  return fmt::format("{}, {} thread{}", backend.ops->name(), backend.threads,
                     backend.threads == 1 ? "" : "s");
}

Result Pipeline::generate(const Request& request, const RunOptions& options) const {
  return impl_->generate(request, options);
}

const char* version() {
  return FLUX2_VERSION;
}

}  // namespace flux2
