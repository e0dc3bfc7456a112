#include "bench_command.h"

#include <filesystem>
#include <fstream>
#include <system_error>

#include "bench_report.h"
#include "json_report.h"
#include "machine_options.h"
#include "option_binding.h"
#include "plan_report.h"
#include "pull_command.h"
#include "signals.h"

namespace flux2::cli {
namespace {

constexpr const char* kExamples = R"(
Examples:
  flux2 bench                                      the built-in model
  flux2 bench --random klein-4b --width 256 --height 256 --ops
  flux2 bench --random dev --layers 2 --width 1024 --height 1024 --steps 2 --json -
  flux2 bench --random dev --memory 16G --plan     what it would take)";

constexpr Range<int> kSides = {16, 16384};
constexpr Range<int> kCounts = {1, 65536};

// The file appears complete or not at all.
void write_report(const std::string& json, const std::string& file) {
  if (file == "-") return print_to_stdout(json);
  const std::string unfinished = file + ".part";
  std::ofstream stream(unfinished);
  stream << json << '\n';
  stream.close();
  std::error_code failed;
  if (stream) std::filesystem::rename(unfinished, file, failed);
  if (stream && !failed) return;
  std::error_code ignored;
  std::filesystem::remove(unfinished, ignored);
  throw Error(ErrorCode::bad_file, "cannot write the report", file, "check folder and free space");
}

void print_plan(const Plan& plan, const BenchCommandOptions& options) {
  if (options.json) write_report(plan_json(plan), *options.json);
  if (options.json != "-") print_to_stdout(plan_table(plan));
}

}  // namespace

CLI::App* add_bench(CLI::App& program, BenchCommandOptions& options) {
  CLI::App* app = program.add_subcommand("bench", "Measure speed and memory of each stage");
  app->set_help_flag("-h,--help", "Print this and exit");
  const char* how = "How it is done";
  BenchOptions& bench = options.bench;
  add_text(*app, "-m,--model", bench.model, "MODEL",
           "a folder in Diffusers layout, org/name[@revision], or nano; nano");
  add_text(*app, "--random", bench.random, "NAME",
           "a published model's shapes with random weights: klein-4b, klein-base-4b, klein-9b, "
           "klein-base-9b, klein-9b-kv, dev");
  add_number<int>(*app, "--layers", bench.layers, kCounts,
                  "of a random model, keep so many blocks of each kind and layers of the text "
                  "encoder");
  add_number<int>(*app, "--width", bench.width, kSides, "pixels; the model's default");
  add_number<int>(*app, "--height", bench.height, kSides, "pixels; the model's default");
  add_number<int>(*app, "--steps", bench.steps, kCounts, "the model's default");
  add_number<int>(*app, "--text-tokens", bench.text_tokens, kCounts, "the model's default");
  add_machine_options(*app, bench.pipeline, how);
  app->add_flag("--plan", options.plan,
                "measure nothing: say how much memory and time it would take");
  app->add_flag("--ops", options.ops, "a table of every operation");
  add_choice<BenchOptions::Ceilings>(
      *app, "--ceilings", bench.ceilings,
      {{"measure", BenchOptions::Ceilings::measure}, {"skip", BenchOptions::Ceilings::skip}},
      "what the machine can do at most; measure");
  add_text(*app, "--json", options.json, "FILE", "write the report as JSON; - is standard output");
  add_progress_option(*app, options.progress, how);
  app->footer(kExamples);
  return app;
}

void run_bench(const BenchCommandOptions& options) {
  const StopOnSignal signals;
  BenchReport report;
  {
    BenchOptions bench_options = options.bench;
    if (bench_options.random.empty()) {
      bench_options.model = bring_model(bench_options.model, options.progress, signals.token());
    }
    ProgressDisplay display(options.progress);
    // As `generate` has it: a part that has done its work is released.
    bench_options.pipeline.residency = PipelineOptions::Residency::release;
    bench_options.stop = signals.token();
    bench_options.progress = [&display](const Progress& progress) { display.show(progress); };
    if (options.plan) return print_plan(plan_bench(bench_options), options);
    report = bench(bench_options);
  }
  if (options.json) write_report(bench_json(report), *options.json);
  if (options.json == "-") return;
  print_to_stdout(bench_table(report) + (options.ops ? "\n" + ops_table(report) : ""));
}

}  // namespace flux2::cli
