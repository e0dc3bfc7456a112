#include "quantize_command.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>

#include "flux2/quantize.h"
#include "json_report.h"
#include "log.h"
#include "machine_options.h"
#include "option_binding.h"
#include "part_progress.h"
#include "signals.h"

namespace flux2::cli {
namespace {

constexpr int kMostThreads = 1024;

constexpr const char* kExamples = R"(
Examples:
  flux2 quantize -m FLUX.2-klein-4B -o klein-4B-int8
  flux2 generate -m klein-4B-int8 --compute int8 -p "a red circle" -o circle.png)";

std::string report_of(const QuantizeCommand& options, const QuantizeResult& result) {
  constexpr int kIndent = 2;
  const nlohmann::ordered_json json = {{"folder", options.output},
                                       {"quantized_layers", result.quantized_layers},
                                       {"rotated_layers", result.rotated_layers},
                                       {"bytes_before", result.bytes_before},
                                       {"bytes_after", result.bytes_after}};
  return json.dump(kIndent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

CLI::App* add_quantize(CLI::App& program, QuantizeCommand& options) {
  CLI::App* app = program.add_subcommand(
      "quantize", "Write a model whose blocks are 8-bit integers: half the size of bf16");
  app->set_help_flag("-h,--help", "Print this and exit");
  add_text(*app, "-m,--model", options.model, "MODEL",
           "a folder in Diffusers layout, or nano; nano");
  add_text(*app, "-o,--output", options.output, "FOLDER", "the new folder; must not exist yet")
      ->required();
  add_number<int>(*app, "--threads", options.threads, {1, kMostThreads},
                  "default: the cores that this process may use");
  add_progress_option(*app, options.progress, "");
  app->add_flag("--json", options.json, "one JSON object about the result on standard output");
  app->footer(kExamples);
  return app;
}

void run_quantize(const QuantizeCommand& options) {
  const StopOnSignal signals;
  QuantizeOptions how = {.threads = options.threads, .stop = signals.token()};
  PartProgress display(options.progress);
  how.progress = [&display](const QuantizeProgress& progress) {
    display.show(progress.part, progress.done, progress.total);
  };
  const QuantizeResult result = quantize_model(options.model, options.output, how);
  if (options.json) return print_to_stdout(report_of(options, result));
  spdlog::info("{}: {} layers in int8, {} of them rotated, {:.2f} GB instead of {:.2f} GB",
               one_line(options.output), result.quantized_layers, result.rotated_layers,
               static_cast<double>(result.bytes_after) * 1e-9,
               static_cast<double>(result.bytes_before) * 1e-9);
}

}  // namespace flux2::cli
