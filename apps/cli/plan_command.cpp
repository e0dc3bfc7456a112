#include "plan_command.h"

#include "option_binding.h"

namespace flux2::cli {
namespace {

constexpr const char* kExamples = R"(
Examples:
  flux2 plan FLUX.2-klein-4B --width 1024 --height 1024
  flux2 plan FLUX.2-dev --memory 16G --image photo.jpg
  flux2 bench --random dev --plan                 of a model that is not here
Exit status: 0 it fits, 4 it does not; 2 and 3 as generate.)";

}  // namespace

CLI::App* add_plan(CLI::App& program, GenerateOptions& options) {
  CLI::App* app =
      program.add_subcommand("plan", "Say how much memory and time `generate` would take");
  app->set_help_flag("-h,--help", "Print this and exit");
  options.prompt_needed = GenerateOptions::PromptNeeded::no;
  options.plan = true;
  add_text(*app, "MODEL", options.model, "MODEL", "as --model of generate; nano");
  add_generate_options(*app, options);
  app->footer(kExamples);
  return app;
}

}  // namespace flux2::cli
