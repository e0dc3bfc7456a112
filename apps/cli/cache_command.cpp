#include "cache_command.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "flux2/prompt_cache.h"
#include "json_report.h"
#include "log.h"

namespace flux2::cli {
namespace {

constexpr const char* kExamples = R"(
Examples:
  flux2 cache            what the prompt cache holds
  flux2 cache --clear    empty it

It is in $FLUX2_CACHE/prompts, else $XDG_CACHE_HOME/flux2/prompts, else ~/.cache/flux2/prompts.
Models from the Hugging Face Hub are in a cache of their own, which this leaves alone.)";

constexpr double kMega = 1e6;

}  // namespace

CLI::App* add_cache(CLI::App& program, CacheCommand& options) {
  CLI::App* app = program.add_subcommand("cache", "Show or empty the cache of encoded prompts");
  app->set_help_flag("-h,--help", "Print this and exit");
  app->add_flag("--clear", options.clear, "remove every entry");
  app->add_flag("--json", options.json, "one JSON object on standard output");
  app->footer(kExamples);
  return app;
}

void run_cache(const CacheCommand& options) {
  const PromptCacheContents contents =
      options.clear ? clear_prompt_cache() : inspect_prompt_cache();
  if (options.json) {
    constexpr int kIndent = 2;
    const nlohmann::json report = {{"folder", contents.folder.string()},
                                   {"entries", contents.entries},
                                   {"bytes", contents.bytes},
                                   {"cleared", options.clear}};
    return print_to_stdout(report.dump(kIndent));
  }
  print_to_stdout(fmt::format("{}: {}{} prompts, {:.1f} MB", one_line(contents.folder.string()),
                              options.clear ? "removed " : "", contents.entries,
                              static_cast<double>(contents.bytes) / kMega));
}

}  // namespace flux2::cli
