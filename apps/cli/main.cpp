#include <signal.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <new>

#include "bench_command.h"
#include "cache_command.h"
#include "convert_command.h"
#include "flux2/flux2.h"
#include "generate_command.h"
#include "generate_options.h"
#include "json_report.h"
#include "log.h"
#include "models_command.h"
#include "plan_command.h"
#include "pull_command.h"
#include "quantize_command.h"
#include "verify_command.h"

namespace flux2::cli {
namespace {

enum class ExitStatus {
  done = 0,
  other = 1,
  wrong_request = 2,
  bad_file = 3,
  out_of_memory = 4,
  cancelled = 5,
};

constexpr const char* kExamples = R"(
Examples:
  flux2 generate -p "a red circle on a white background" -o circle.png
  flux2 plan --width 512 --height 512
  flux2 models
  flux2 pull black-forest-labs/FLUX.2-klein-4B
  flux2 bench --random klein-4b --width 256 --height 256
  flux2 generate --help)";

ExitStatus status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::internal:
      return ExitStatus::other;
    case ErrorCode::invalid_request:
      return ExitStatus::wrong_request;
    case ErrorCode::bad_file:
      return ExitStatus::bad_file;
    case ErrorCode::out_of_memory:
      return ExitStatus::out_of_memory;
    case ErrorCode::cancelled:
      return ExitStatus::cancelled;
  }
  return ExitStatus::other;
}

ExitStatus fail(ExitStatus status, const std::string& message) {
  spdlog::error("{}", one_line(message));
  return status;
}

// The library knows arguments; who types a command line knows options.
ExitStatus fail(const Error& error) {
  const Error told(error.code(), error.message(), option_of_argument(error.where()), error.hint());
  return fail(status_of(error.code()), told.what());
}

// Help and versions arrive as exceptions too.
ExitStatus finish_parsing(const CLI::App& program, const CLI::ParseError& error) {
  const auto chosen = program.get_subcommands();
  const CLI::App& app = chosen.empty() ? program : *chosen.front();
  if (error.get_exit_code() != static_cast<int>(CLI::ExitCodes::Success)) {
    const std::string command = chosen.empty() ? "flux2" : "flux2 " + app.get_name();
    const auto unknown = program.remaining();
    const std::string message = chosen.empty() && !unknown.empty()
                                    ? "there is no command " + unknown.front()
                                    : std::string(error.what());
    return fail(ExitStatus::wrong_request, message + " (see " + command + " --help)");
  }
  const bool version = dynamic_cast<const CLI::CallForVersion*>(&error) != nullptr;
  print_to_stdout(version ? error.what() : program.help());
  return ExitStatus::done;
}

ExitStatus run(int argc, char** argv) {
  CLI::App program("FLUX.2: pictures from prompts and references", "flux2");
  program.set_help_flag("-h,--help", "Print this and exit");
  program.set_version_flag("--version", std::string("flux2cpp ") + version(), "Print the version");
  program.require_subcommand(1);
  program.footer(kExamples);
  GenerateOptions generate_options;
  ModelsOptions models_options;
  BenchCommandOptions bench_options;
  QuantizeCommand quantize_options;
  const CLI::App* generate = add_generate(program, generate_options);
  GenerateOptions plan_options;
  const CLI::App* plan = add_plan(program, plan_options);
  const CLI::App* models = add_models(program, models_options);
  const CLI::App* quantize = add_quantize(program, quantize_options);
  VerifyCommand verify_options;
  ConvertCommand convert_options;
  const CLI::App* verify = add_verify(program, verify_options);
  const CLI::App* convert = add_convert(program, convert_options);
  add_bench(program, bench_options);
  PullCommandOptions pull_options;
  const CLI::App* pull = add_pull(program, pull_options);
  CacheCommand cache_options;
  const CLI::App* cache = add_cache(program, cache_options);
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return finish_parsing(program, error);
  }
  if (generate->parsed()) {
    run_generate(generate_options);
  } else if (plan->parsed()) {
    run_generate(plan_options);
  } else if (pull->parsed()) {
    run_pull(pull_options);
  } else if (cache->parsed()) {
    run_cache(cache_options);
  } else if (models->parsed()) {
    run_models(models_options);
  } else if (quantize->parsed()) {
    run_quantize(quantize_options);
  } else if (verify->parsed()) {
    run_verify(verify_options);
  } else if (convert->parsed()) {
    run_convert(convert_options);
  } else {
    run_bench(bench_options);
  }
  return ExitStatus::done;
}

ExitStatus run_guarded(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const Error& error) {
    return fail(error);
  } catch (const std::bad_alloc&) {
    return fail(ExitStatus::out_of_memory, "there is not enough memory");
  } catch (const std::exception& error) {
    return fail(ExitStatus::other, error.what());
  }
}

}  // namespace
}  // namespace flux2::cli

int main(int argc, char** argv) {
  // A file that outgrows its limit is an error to report, not a reason to die.
  signal(SIGXFSZ, SIG_IGN);
  flux2::cli::start_log();
  return static_cast<int>(flux2::cli::run_guarded(argc, argv));
}
