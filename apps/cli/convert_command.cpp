#include "convert_command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include "json_report.h"
#include "machine_options.h"
#include "option_binding.h"
#include "part_progress.h"
#include "pull_command.h"
#include "signals.h"

namespace flux2::cli {
namespace {

constexpr int kMostThreads = 1024;

constexpr const char* kExamples = R"(
Examples:
  flux2 convert flux-2-klein-4b.safetensors klein-folder --to diffusers
  flux2 convert ~/ComfyUI/models klein-4B --to diffusers --variant klein --tokenizer Qwen3-4B
  flux2 convert FLUX.2-klein-4B klein-4b.safetensors --to bfl
  flux2 convert FLUX.2-klein-4B flux2-vae.safetensors --to bfl --part vae
  flux2 convert FLUX.2-klein-4B klein-4b-Q4_K.gguf --to gguf --type q4_k
  flux2 convert FLUX.2-klein-4B klein-4B-int8 --to int8)";

void add_target(CLI::App& app, ConvertCommand& o) {
  add_choice<ConvertTarget>(app, "--to", o.convert.to,
                            {{"diffusers", ConvertTarget::diffusers},
                             {"bfl", ConvertTarget::bfl},
                             {"gguf", ConvertTarget::gguf},
                             {"int8", ConvertTarget::int8}},
                            "a folder in Diffusers' layout, one file in Black Forest Labs' names, "
                            "GGUF, or a folder in 8-bit integers")
      ->required();
  add_choice<StoredAs>(app, "--type", o.convert.type,
                       {{"f32", StoredAs::f32},
                        {"f16", StoredAs::f16},
                        {"bf16", StoredAs::bf16},
                        {"q8_0", StoredAs::q8_0},
                        {"q6_k", StoredAs::q6_k},
                        {"q5_k", StoredAs::q5_k},
                        {"q4_k", StoredAs::q4_k},
                        {"q4_0", StoredAs::q4_0}},
                       "what matrices are stored as; default: as they are, GGUF: q8_0");
  add_text(app, "--part", o.convert.part, "PART",
           "which part becomes the file: transformer, vae (bfl), text_encoder (gguf); default: the "
           "transformer");
}

}  // namespace

CLI::App* add_convert(CLI::App& program, ConvertCommand& o) {
  CLI::App* app = program.add_subcommand(
      "convert", "Write a model or a file of weights in another layout or stored type");
  app->set_help_flag("-h,--help", "Print this and exit");
  app->add_option("in", o.input,
                  "a model, a folder or file of weights, or a repository of the Hugging Face Hub")
      ->type_name("IN")
      ->required();
  app->add_option("out", o.output, "the new folder or file; must not exist yet")
      ->type_name("OUT")
      ->required();
  add_target(*app, o);
  add_model_parts(*app, o.parts, "Parts");
  add_number<int>(*app, "--threads", o.convert.threads, {1, kMostThreads},
                  "default: the cores that this process may use");
  add_progress_option(*app, o.progress, "");
  add_verbosity(*app, o.verbosity, "");
  app->add_flag("--json", o.json, "one JSON object about the result on standard output");
  app->footer(kExamples);
  return app;
}

void run_convert(const ConvertCommand& options) {
  set_verbosity(options.verbosity);
  const ProgressStyle style =
      options.verbosity == Verbosity::quiet ? ProgressStyle::none : options.progress;
  const StopOnSignal signals;
  const std::string input = bring_model(options.input, style, signals.token());
  ConvertOptions how = options.convert;
  how.stop = signals.token();
  ConvertResult result;
  {
    PartProgress display(style);
    how.progress = [&display](const ConvertProgress& progress) {
      display.show(progress.part, progress.done, progress.total);
    };
    result = convert_model(options.parts.over(input), options.output, how);
  }
  if (options.json) return print_to_stdout(convert_report(options.output, result));
  spdlog::info("{}: {}, {} tensors, {} of them quantised, {} instead of {}",
               one_line(options.output), fmt::join(result.parts, ", "), result.tensors,
               result.quantized, with_prefix(result.bytes_after, "B"),
               with_prefix(result.bytes_before, "B"));
}

}  // namespace flux2::cli
