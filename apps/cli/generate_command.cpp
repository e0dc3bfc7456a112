#include "generate_command.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>

#include "json_report.h"
#include "output_names.h"
#include "plan_report.h"
#include "progress.h"
#include "pull_command.h"
#include "request_builder.h"
#include "signals.h"
#include "stored_text.h"

namespace flux2::cli {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr double kMebibyte = 1024.0 * 1024.0;

std::vector<fs::path> tensor_files(const GenerateOptions& options) {
  std::vector<fs::path> files;
  if (options.save_latents) files.emplace_back(*options.save_latents);
  if (options.save_prompt_embeds) files.emplace_back(*options.save_prompt_embeds);
  return files;
}

// The names of the pictures, of previews, and whatever else is written: found out before the work.
struct OutputFiles {
  std::vector<fs::path> pictures;
  std::vector<fs::path> previews;
};

OutputFiles plan_files(const GenerateOptions& options, const Request& request) {
  const std::size_t count = picture_count(request);
  OutputFiles files;
  if (options.output_type == Output::images) {
    files.pictures = output_names(options.output, count, request.seeds);
    if (!options.no_metadata) check_text_fits(files.pictures, request.prompt);
  }
  if (options.preview) files.previews = output_names(*options.preview, count, request.seeds);
  std::vector<fs::path> pictures = files.pictures;
  pictures.insert(pictures.end(), files.previews.begin(), files.previews.end());
  check_outputs(pictures, tensor_files(options));
  return files;
}

// Leaving pictures out makes sense where something else is kept.
void check_output_type(const GenerateOptions& options) {
  const auto demand = [](const std::optional<std::string>& file, const char* option) {
    if (file) return;
    throw Error(ErrorCode::invalid_request, "nothing would be written", "--output-type",
                fmt::format("name a file with {}", option));
  };
  if (options.output_type == Output::latents) demand(options.save_latents, "--save-latents");
  if (options.output_type != Output::prompt_embeds) return;
  demand(options.save_prompt_embeds, "--save-prompt-embeds");
  if (options.save_latents) {
    throw Error(ErrorCode::invalid_request, "there are no latents to save", "--save-latents",
                "--output-type prompt-embeds ends before them");
  }
}

ProgressStyle progress_style(const GenerateOptions& options) {
  return options.verbosity == Verbosity::quiet ? ProgressStyle::none : options.progress;
}

// Says what drawing would take.
void print_plan(const Pipeline& pipeline, const Request& request, const GenerateOptions& options) {
  RunOptions run = {.output = options.output_type, .vae_tiling = options.vae_tiling};
  if (options.preview) run.preview = [](const Preview&) {};
  const Plan plan = pipeline.plan(request, run);
  print_to_stdout(options.json ? plan_json(plan) : plan_table(plan));
}

Result draw(const Pipeline& pipeline, const Request& request, const GenerateOptions& options,
            const std::vector<fs::path>& previews, const std::stop_token& stop) {
  ProgressDisplay display(progress_style(options));
  RunOptions run;
  run.stop = stop;
  run.output = options.output_type;
  run.vae_tiling = options.vae_tiling;
  if (!previews.empty()) {
    run.preview = [&previews](const Preview& preview) {
      for (std::size_t i = 0; i < preview.images.size(); ++i)
        save_image(preview.images[i], previews[i]);
    };
  }
  run.progress = [&display](const Progress& progress) { display.show(progress); };
  return pipeline.generate(request, run);
}

void write_files(const Run& run, const GenerateOptions& options) {
  const Result& result = run.result;
  for (std::size_t i = 0; i < result.images.size(); ++i) {
    const ImageText text =
        options.no_metadata ? ImageText{} : describe(result, run.pipeline.info(), i);
    save_image(result.images[i], run.files[i], text);
    spdlog::info("wrote {}", one_line(run.files[i].string()));
  }
  if (options.save_latents) save_array(result.latents, *options.save_latents, "latents");
  if (options.save_prompt_embeds) {
    save_array(result.prompt_embeds, *options.save_prompt_embeds, "prompt_embeds");
  }
}

void log_run(const Run& run) {
  for (const StageTime& time : run.result.times) {
    spdlog::debug("{:<22} {:8.2f} s", to_string(time.stage), time.seconds);
  }
  for (std::size_t i = 0; i < run.result.step_seconds.size(); ++i) {
    spdlog::debug("step {:<17} {:8.2f} s", i + 1, run.result.step_seconds[i]);
  }
  spdlog::debug("{:<22} {:8.2f} s", "all", run.seconds);
  spdlog::debug("{} texts out of the prompt cache", run.result.cached_prompts);
  spdlog::debug("peak memory {:.0f} MiB",
                static_cast<double>(run.result.peak_memory_bytes) / kMebibyte);
}

std::optional<PromptCacheOptions> prompt_cache(const GenerateOptions& options) {
  constexpr std::int64_t kMega = 1'000'000;
  if (options.no_prompt_cache || options.prompt_cache_mb == 0) return std::nullopt;
  PromptCacheOptions cache;
  if (options.prompt_cache_mb) cache.max_bytes = *options.prompt_cache_mb * kMega;
  return cache;
}

// The program makes one call and ends: a part that has done its work only takes memory.
PipelineOptions for_one_call(const GenerateOptions& given) {
  PipelineOptions options = given.pipeline;
  options.prompt_cache = prompt_cache(given);
  options.residency = PipelineOptions::Residency::release;
  return options;
}

void log_model(const Pipeline& pipeline) {
  const ModelInfo& model = pipeline.info();
  spdlog::debug("model {} ({}) in {}", model.name, to_string(model.family),
                one_line(model.path.string()));
  spdlog::debug("backend {}", pipeline.backend());
  for (const ModelPart& part : model.parts) {
    const auto level = is_quantised(part) ? spdlog::level::info : spdlog::level::debug;
    spdlog::log(level, "{}: {}", part.name, describe_types(part));
  }
}

}  // namespace

void run_generate(const GenerateOptions& options) {
  set_verbosity(options.verbosity);
  if (!options.plan) check_output_type(options);
  const BuiltRequest built = build_request(options);
  OutputFiles files = options.plan ? OutputFiles{} : plan_files(options, built.request);
  if (built.seed_drawn && !options.plan) spdlog::info("seed {}", built.request.seeds.front());

  const StopOnSignal signals;
  const Clock::time_point begun = Clock::now();
  ModelSource model = built.model;
  if (!model.model.empty()) {
    model.model = bring_model(model.model, progress_style(options), signals.token());
  }
  const Pipeline pipeline = Pipeline::load(model, for_one_call(options));
  log_model(pipeline);
  if (options.plan) return print_plan(pipeline, built.request, options);
  const Result result = draw(pipeline, built.request, options, files.previews, signals.token());
  if (signals.token().stop_requested()) throw Error(ErrorCode::cancelled, "cancelled");

  for (const AdapterReport& adapter : result.adapters)
    spdlog::info("{}", describe_adapter(adapter));
  for (const std::string& prompt : result.rewritten_prompts)
    spdlog::info("prompt: {}", one_line(prompt));

  Run run = {.pipeline = pipeline,
             .result = result,
             .files = std::move(files.pictures),
             .preview_files = options.output_type == Output::prompt_embeds
                                  ? std::vector<fs::path>{}
                                  : std::move(files.previews),
             .latents_file = options.save_latents,
             .prompt_embeds_file = options.save_prompt_embeds,
             .warnings = built.warnings};
  run.warnings.insert(run.warnings.end(), result.warnings.begin(), result.warnings.end());
  for (const std::string& warning : run.warnings)
    spdlog::warn("warning: {}", one_line(warning));
  write_files(run, options);
  run.seconds = std::chrono::duration<double>(Clock::now() - begun).count();
  log_run(run);
  if (options.json) print_to_stdout(run_report(run));
}

}  // namespace flux2::cli
