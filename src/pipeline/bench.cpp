#include "flux2/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "backends/cpu/ceilings.h"
#include "base/parallel.h"
#include "base/pinning.h"
#include "ops/timing_ops.h"
#include "pipeline/backend.h"
#include "pipeline/machine_rates.h"
#include "pipeline/memory.h"
#include "pipeline/planner.h"
#include "pipeline/random_model.h"
#include "pipeline/stages.h"
#include "pipeline/stoppable_ops.h"

namespace flux2 {
namespace {

constexpr int kMostTokens = 1 << 16;
constexpr double kSecondsEachCeiling = 0.5;
// A usual prompt in its template; the rest is padding, which the matmuls work on all the same.
constexpr std::int64_t kRealTokens = 24;
constexpr std::int32_t kSomeToken = 100;

void require_within(const std::optional<int>& value, const char* name, int most) {
  if (!value || (*value >= 1 && *value <= most)) return;
  throw Error(ErrorCode::invalid_request, fmt::format("{} is not within 1 to {}", *value, most),
              name);
}

ModelFolder open_model(const BenchOptions& options) {
  require_within(options.layers, "layers", 1 << 16);
  require_within(options.text_tokens, "text_tokens", kMostTokens);
  if (!options.random.empty()) return random_model(options.random, options.layers);
  if (options.layers) {
    throw Error(ErrorCode::invalid_request, "only a random model can be cut", "layers");
  }
  return ModelFolder::open(find_model(options.model));
}

Tensor some_tensor(const Shape& shape) {
  const Tensor tensor = make_host_tensor(shape);
  std::fill_n(tensor.f32(), tensor.elements(), 0.5f);
  return tensor;
}

// One picture from given embeddings: what follows the text encoder.
Request request_for(const BenchOptions& options, const ModelFolder& model) {
  Request request;
  const int tokens = options.text_tokens.value_or(model.defaults.max_sequence_length);
  FloatArray embeddings;
  embeddings.shape = {1, tokens, model.transformer.text_dim};
  embeddings.values.assign(static_cast<std::size_t>(tokens * model.transformer.text_dim), 0.5f);
  request.prompt_embeds = std::move(embeddings);
  request.width = options.width.value_or(model.defaults.width);
  request.height = options.height.value_or(model.defaults.height);
  request.num_inference_steps = options.steps;
  request.guidance_scale = model.defaults.guidance_scale;
  request.max_sequence_length = tokens;
  request.text_encoder_out_layers = text_layers_of(model);
  request.seeds = {0};
  return request;
}

// The embeddings are given, and yet a text is encoded.
Workload workload_of_bench(const Call& call) {
  Workload work = workload_of(call, {});
  work.texts = 1;
  return work;
}

std::vector<OpCost> costs_of(const TimingOps& timings) {
  std::vector<OpCost> costs;
  for (const OpTiming& timing : timings.report()) {
    costs.push_back({.name = timing.name,
                     .calls = timing.calls,
                     .seconds = timing.seconds,
                     .bytes = timing.bytes,
                     .flops = timing.flops});
  }
  return costs;
}

// The stages of a call on one model, one after another.
class Bench {
 public:
  explicit Bench(const BenchOptions& options)
      : model_(open_model(options)),
        call_(resolve(request_for(options, model_), model_)),
        backend_(choose_backend(model_, options.pipeline, workload_of_bench(call_))),
        options_(options.pipeline),
        parts_(model_, backend_, options.pipeline.residency, options.pipeline.memory_limit),
        run_{.stop = options.stop, .progress = options.progress},
        monitor_(run_),
        timings_(*backend_.ops),
        ops_(timings_, monitor_) {
    set_thread_count(backend_.threads);
  }

  BenchReport run() {
    const PinnedThreads pinned(processors_to_pin(backend_));
    AnonymousPeak anonymous;
    BenchReport report = describe();
    const StageContext ctx = {{model_, parts_, ops_, monitor_}, call_};
    const Plan planned = plan();
    parts_.follow(&planned);
    const TextEmbeddings text = encode();
    report.text = finish_stage();
    parts_.end_text();
    Denoised denoised = denoise(ctx, {.text = text, .references = {}});
    report.denoise = finish_stage();
    report.step_seconds = std::move(denoised.step_seconds);
    decode(ctx, denoised.latents);
    report.decode = finish_stage();
    for (const StageTime& time : monitor_.times())
      assign(report, time);
    report.peak_memory_bytes = peak_memory();
    report.peak_anonymous_bytes = anonymous.bytes();
    report.planned_peak_bytes = planned.peak_bytes();
    parts_.release_models();
    parts_.follow(nullptr);
    return report;
  }

  /// @param rates  none: no times
  Plan plan(const std::optional<MachineRates>& rates = {}) const {
    const Workload work = workload_of_bench(call_);
    return make_plan({.model = model_,
                      .work = work,
                      .backend = backend_,
                      .options = options_,
                      .tiling = run_.vae_tiling,
                      .program_bytes = program_memory(),
                      .rates = rates});
  }
  const Backend& backend() const { return backend_; }

 private:
  BenchReport describe() const {
    BenchReport report;
    report.model = model_.name;
    report.backend = describe_backend(backend_);
    report.compute = backend_.compute;
    report.threads = backend_.threads;
    report.width = call_.width();
    report.height = call_.height();
    report.text_tokens = *call_.request.max_sequence_length;
    return report;
  }

  // The stage that has just ended; its times are assigned once all are known.
  StageCost finish_stage() {
    monitor_.end();
    StageCost cost = {.flops = timings_.total().flops, .ops = costs_of(timings_)};
    timings_.clear();
    return cost;
  }

  TextEmbeddings encode() {
    const std::vector<int>& layers = call_.request.text_encoder_out_layers;
    const std::vector<std::int64_t> taps(layers.begin(), layers.end());
    const LanguageModel& encoder = parts_.text_encoder({.taps = taps}, ops_, monitor_);
    const std::int64_t length = *call_.request.max_sequence_length;
    const TokenBatch batch = {.ids = std::vector<std::int32_t>(
                                  static_cast<std::size_t>(length),
                                  static_cast<std::int32_t>(std::min<std::int64_t>(
                                      kSomeToken, encoder.decoder().config().vocab_size - 1))),
                              .real = {{0, std::min(kRealTokens, length)}},
                              .length = length};
    monitor_.begin(Stage::encode_text);
    TextEmbeddings text;
    text.prompts = ops_.download(encoder.decoder().hidden_states(
        ops_, batch, taps,
        [this](std::int64_t done, std::int64_t total) { monitor_.advance(done, total); }));
    if (call_.classifier_free) text.negative = some_tensor(text.prompts.shape());
    return text;
  }

  static void assign(BenchReport& report, const StageTime& time) {
    const std::pair<Stage, double*> places[] = {
        {Stage::load_text, &report.seconds_load_text},
        {Stage::encode_text, &report.text.seconds},
        {Stage::load_transformer, &report.seconds_load_transformer},
        {Stage::denoise, &report.denoise.seconds},
        {Stage::load_vae, &report.seconds_load_vae},
        {Stage::decode, &report.decode.seconds}};
    for (const auto& [stage, seconds] : places) {
      if (stage == time.stage) *seconds += time.seconds;
    }
  }

  ModelFolder model_;
  Call call_;
  Backend backend_;
  PipelineOptions options_;
  Parts parts_;
  RunOptions run_;
  Monitor monitor_;
  TimingOps timings_;
  StoppableOps ops_;
};

MachineCeilings measure_ceilings() {
  const CpuCeilings measured = measure_cpu_ceilings(kSecondsEachCeiling);
  return {.matmul_f32_flops = measured.matmul_f32,
          .matmul_bf16_flops = measured.matmul_bf16,
          .matmul_int8_flops = measured.matmul_int8,
          .convolution_flops = measured.convolution,
          .read_bytes = measured.read,
          .copy_bytes = measured.copy};
}

// What an operation takes at least, with the machine's matmuls in `compute`.
double floor_seconds(const OpCost& op, const MachineCeilings& machine, Compute compute) {
  const double bf16 = machine.matmul_bf16_flops.value_or(machine.matmul_f32_flops);
  const double matmul = compute == Compute::f32 ? machine.matmul_f32_flops : bf16;
  if (op.flops == 0) return op.bytes / machine.copy_bytes;
  if (op.name.starts_with("conv2d")) {
    return op.flops / (compute == Compute::f32 ? matmul : machine.convolution_flops);
  }
  // All but the few layers that stay as they are, whose share of the FLOP is a percent.
  const bool int8 = compute == Compute::int8 && op.name.starts_with("linear");
  return op.flops / (int8 ? machine.matmul_int8_flops : matmul);
}

void hold_against(StageCost& stage, const MachineCeilings& machine, Compute compute) {
  double floor = 0;
  for (OpCost& op : stage.ops) {
    const double least = floor_seconds(op, machine, compute);
    if (op.flops > 0) floor += least;
    if (op.seconds > 0) op.ceiling_share = least / op.seconds;
  }
  stage.floor_seconds = floor;
}

}  // namespace

double BenchReport::seconds_per_step() const {
  if (step_seconds.empty()) return 0;
  if (step_seconds.size() == 1) return step_seconds.front();
  std::vector<double> later(step_seconds.begin() + 1, step_seconds.end());
  const auto middle = later.begin() + static_cast<std::ptrdiff_t>(later.size() / 2);
  std::nth_element(later.begin(), middle, later.end());
  return *middle;
}

Plan plan_bench(const BenchOptions& options) {
  const Bench bench(options);
  return bench.plan(measure_rates(bench.backend()));
}

BenchReport bench(const BenchOptions& options) {
  BenchReport report = Bench(options).run();
  if (options.ceilings == BenchOptions::Ceilings::skip) return report;
  set_thread_count(report.threads);
  report.ceilings = measure_ceilings();
  for (StageCost* stage : {&report.text, &report.denoise, &report.decode})
    hold_against(*stage, *report.ceilings, report.compute);
  return report;
}

}  // namespace flux2
