#include "pipeline/planner.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/parallel.h"
#include "base/rounding.h"
#include "flux2/error.h"
#include "models/autoencoder/tiling.h"
#include "pipeline/available_memory.h"
#include "pipeline/machine_rates.h"
#include "pipeline/memory.h"
#include "pipeline/rehearsal.h"

namespace flux2 {
namespace {

using Residency = PipelineOptions::Residency;
using Afterwards = PartPlan::Afterwards;

// Stacks and buffers of threads, oneDNN's generated code, the allocator's slack.
constexpr std::int64_t kRuntimeBytes = std::int64_t{24} << 20;
// A tokenizer of 150 thousand words.
constexpr std::int64_t kTokenizerBytes = std::int64_t{48} << 20;
// Shares of layers that are streamed are rounded up to these.
constexpr double kShareStep = 1.0 / 32;

struct Limit {
  std::int64_t bytes;
  std::string from;
};

Limit limit_of(const PipelineOptions& options) {
  const AvailableMemory available = find_available_memory();
  // What this process has already is its own.
  Limit limit = {available.bytes, available.from};
  const std::int64_t own = anonymous_memory();
  limit.bytes = limit.bytes > INT64_MAX - own ? limit.bytes : limit.bytes + own;
  if (options.memory_limit <= 0 || options.memory_limit > limit.bytes) return limit;
  return {options.memory_limit, "memory_limit"};
}

// Looks for the choices that keep a call within its limit.
class Planner {
 public:
  explicit Planner(const PlanInputs& inputs)
      : inputs_(inputs),
        limit_(limit_of(inputs.options)),
        model_{.folder = inputs.model, .text_encoder = {}, .transformer = {}} {
    if (inputs.work.texts + inputs.work.rewritten > 0)
      model_.text_encoder = inputs.model.weights_of("text_encoder");
    if (inputs.work.output != Output::prompt_embeds)
      model_.transformer = inputs.model.weights_of("transformer");
    fixed_ = inputs.program_bytes + (inputs.model.made ? 0 : kTokenizerBytes);
    tiling_ = tiling_of(inputs.model.vae);
    if (inputs.tiling == VaeTiling::on) choices_.encode_tiles = choices_.decode_tiles = tiling_;
    if (inputs.options.residency == Residency::release) choices_.afterwards = Afterwards::released;
  }

  Plan run() {
    rehearse();
    if (!fits() && inputs_.options.residency == Residency::automatic) {
      choices_.afterwards = Afterwards::released;
      rehearse();
    }
    if (inputs_.tiling == VaeTiling::automatic) use_tiles();
    stream_layers();
    if (!fits()) refuse();
    return plan();
  }

 private:
  void rehearse() { rehearsed_ = flux2::rehearse(model_, inputs_.work, choices_, inputs_.backend); }

  std::int64_t need(const RehearsedStage& stage) const { return fixed_ + stage.peak_bytes; }
  bool fits(const RehearsedStage& stage) const { return need(stage) <= limit_.bytes; }
  bool fits() const {
    return std::all_of(rehearsed_.stages.begin(), rehearsed_.stages.end(),
                       [this](const RehearsedStage& stage) { return fits(stage); });
  }
  const RehearsedStage* find(Stage stage) const {
    for (const RehearsedStage& rehearsed : rehearsed_.stages) {
      if (rehearsed.stage == stage) return &rehearsed;
    }
    return nullptr;
  }

  void give_up(std::string what) {
    given_up_.push_back(std::move(what));
    rehearse();
  }

  void use_tiles() {
    const RehearsedStage* encoding = find(Stage::encode_images);
    const RehearsedStage* decoding = find(Stage::decode);
    if (encoding != nullptr && !fits(*encoding)) {
      const std::string whole = format_bytes(need(*encoding));
      choices_.encode_tiles = tiling_;
      give_up(fmt::format("references are encoded in tiles of {} pixels, since {} would not fit",
                          tiling_.sample_size, whole));
      decoding = find(Stage::decode);
    }
    if (decoding != nullptr && !fits(*decoding)) {
      const std::string whole = format_bytes(need(*decoding));
      choices_.decode_tiles = tiling_;
      give_up(fmt::format("decoded in tiles of {} pixels, since {} would not fit",
                          tiling_.sample_size, whole));
    }
  }

  // What is kept takes memory from the stages behind its own, too.
  void stream_layers() {
    using enum Stage;
    const bool kept = choices_.afterwards == Afterwards::kept;
    stream("text encoder", {upsample, encode_text}, choices_.text_streamed);
    if (kept) {
      stream("transformer", {denoise, decode}, choices_.transformer_streamed);
      stream("text encoder", {encode_images, denoise, decode}, choices_.text_streamed);
    } else {
      stream("transformer", {denoise}, choices_.transformer_streamed);
    }
  }

  // The most that one of these stages is over the limit.
  std::int64_t excess(std::initializer_list<Stage> stages) const {
    std::int64_t most = 0;
    for (const Stage stage : stages) {
      if (const RehearsedStage* found = find(stage))
        most = std::max(most, need(*found) - limit_.bytes);
    }
    return most;
  }

  // Streams the least that keeps `stages` within the limit.
  void stream(const char* what, std::initializer_list<Stage> stages, double& share) {
    if (excess(stages) <= 0) return;
    // Halving: whether all of it does, then ever smaller steps.
    share = 1;
    rehearse();
    for (double step = 0.5; step >= kShareStep; step /= 2) {
      const double before = share;
      share -= step;
      rehearse();
      if (excess(stages) > 0) share = before;
    }
    give_up(fmt::format("{:.0f} % of the {}'s layers are read from the file whenever they are used",
                        100 * share, what));
  }

  [[noreturn]] void refuse() const {
    std::int64_t most = 0;
    const RehearsedStage* worst = nullptr;
    for (const RehearsedStage& stage : rehearsed_.stages) {
      if (need(stage) <= most) continue;
      most = need(stage);
      worst = &stage;
    }
    std::string hint = fmt::format("{} would do", format_bytes(rounded_up(most)));
    const bool kept = inputs_.options.residency == Residency::keep;
    const bool decoding = worst->stage == Stage::decode || worst->stage == Stage::encode_images;
    if (kept) {
      hint += "; or let parts be released";
    } else if (decoding && inputs_.tiling == VaeTiling::off) {
      hint += "; or allow the VAE to work in tiles";
    } else if (decoding) {
      hint += "; or ask for a smaller picture, or for its latents";
    } else if (worst->stage == Stage::denoise) {
      hint += inputs_.work.batch > 1 ? "; or ask for fewer pictures at once"
                                     : "; or ask for a smaller picture or fewer references";
    } else {
      hint += "; or give prompt embeddings";
    }
    if (inputs_.backend.compute == Compute::f32) hint += "; or compute in bf16 or int8";
    if (inputs_.backend.compute == Compute::bf16) hint += "; or compute in int8";
    throw Error(ErrorCode::out_of_memory,
                fmt::format("{} needs {} of memory and may have {} ({})", to_string(worst->stage),
                            format_bytes(most), format_bytes(limit_.bytes), limit_.from),
                "memory_limit", hint);
  }

  // Up to the last digit that format_bytes shows.
  static std::int64_t rounded_up(std::int64_t bytes) {
    constexpr std::int64_t kMega = 1000000;
    const std::int64_t digit = bytes >= 1000 * kMega ? 100 * kMega : kMega;
    return round_up(bytes, digit);
  }

  Plan plan() const {
    Plan plan = {.backend = describe_backend(inputs_.backend),
                 .limit_bytes = limit_.bytes,
                 .limit_from = limit_.from,
                 .program_bytes = fixed_,
                 .parts = rehearsed_.parts,
                 .stages = {},
                 .given_up = given_up_,
                 .rates = inputs_.rates};
    std::int64_t most = 0;  // that the process had until then
    for (const RehearsedStage& stage : rehearsed_.stages) {
      StagePlan planned = {.stage = stage.stage, .peak_bytes = need(stage), .tile = stage.tile};
      for (const OpTiming& op : stage.ops)
        planned.flops += op.flops;
      const auto fresh = static_cast<double>(std::max<std::int64_t>(0, stage.peak_bytes - most));
      most = std::max(most, stage.peak_bytes);
      if (inputs_.rates)
        planned.seconds = seconds_of(stage, *inputs_.rates) + fresh / inputs_.rates->fresh_bytes;
      plan.stages.push_back(planned);
    }
    return plan;
  }

  const PlanInputs& inputs_;
  Limit limit_;
  std::int64_t fixed_ = 0;
  RehearsedModel model_;
  Tiling tiling_;
  Choices choices_;
  Rehearsed rehearsed_;
  std::vector<std::string> given_up_;
};

}  // namespace

Plan make_plan(const PlanInputs& inputs) {
  return Planner(inputs).run();
}

Backend choose_backend(const ModelFolder& model, const PipelineOptions& options,
                       const Workload& work) {
  Backend backend = make_backend(options);
  if (options.memory_limit <= 0 || options.compute != Compute::automatic) return backend;
  const auto fits_unstreamed = [&](const Backend& candidate) {
    try {
      const Plan plan = make_plan({.model = model,
                                   .work = work,
                                   .backend = candidate,
                                   .options = options,
                                   .program_bytes = program_memory()});
      return std::all_of(plan.parts.begin(), plan.parts.end(),
                         [](const PartPlan& part) { return part.streamed_bytes == 0; });
    } catch (const Error& error) {
      if (error.code() != ErrorCode::out_of_memory) throw;
      return false;
    }
  };
  set_thread_count(backend.threads);
  if (fits_unstreamed(backend)) return backend;
  PipelineOptions smaller = options;
  smaller.compute = Compute::int8;
  Backend int8 = make_backend(smaller);
  return fits_unstreamed(int8) ? std::move(int8) : std::move(backend);
}

std::int64_t program_memory() {
  return anonymous_memory() + kRuntimeBytes;
}

std::int64_t Plan::peak_bytes() const {
  std::int64_t most = program_bytes;
  for (const StagePlan& stage : stages)
    most = std::max(most, stage.peak_bytes);
  return most;
}

double Plan::seconds() const {
  double sum = 0;
  for (const StagePlan& stage : stages)
    sum += stage.seconds;
  return sum;
}

const PartPlan* Plan::part(const std::string& name) const {
  for (const PartPlan& part : parts) {
    if (part.name == name) return &part;
  }
  return nullptr;
}

const StagePlan* Plan::stage(Stage stage) const {
  for (const StagePlan& planned : stages) {
    if (planned.stage == stage) return &planned;
  }
  return nullptr;
}

}  // namespace flux2
