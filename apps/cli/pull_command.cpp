#include "pull_command.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <optional>

#include "flux2/model.h"
#include "json_report.h"
#include "machine_options.h"
#include "option_binding.h"
#include "signals.h"

namespace flux2::cli {
namespace {

constexpr const char* kExamples = R"(
Examples:
  flux2 pull black-forest-labs/FLUX.2-klein-4B
  flux2 pull org/name --revision v1.0 --only transformer --only vae
  flux2 pull org/name --include "*.gguf"

The files go where Diffusers looks for them: $HF_HUB_CACHE, else $HF_HOME/hub, else
~/.cache/huggingface/hub. A token comes from $HF_TOKEN or from `hf auth login`.)";

// Shows how far a pull is. What it leaves on standard error is whole lines.
class PullDisplay {
 public:
  PullDisplay(std::string name, ProgressStyle style)
      : label_("pull " + one_line(std::move(name))), form_(form_of(style)) {}

  void show(const PullProgress& progress) {
    if (form_ == ProgressForm::bar && (line_.is_due() || progress.done == progress.total)) {
      line_.draw(bar_line(label_, progress.done, progress.total, pull_counts(progress),
                          TerminalLine::columns()));
    }
    if (form_ == ProgressForm::lines) print_line(progress);
  }

 private:
  // A line at the beginning and one for each tenth.
  void print_line(const PullProgress& progress) {
    constexpr std::int64_t kTenths = 10;
    const std::int64_t tenths = progress.total > 0
                                    ? static_cast<std::int64_t>(static_cast<double>(kTenths) *
                                                                static_cast<double>(progress.done) /
                                                                static_cast<double>(progress.total))
                                    : 0;
    if (printed_ && (tenths <= *printed_ || progress.total == 0)) {
      if (tenths < *printed_) printed_ = tenths;
      return;
    }
    printed_ = tenths;
    const std::string counts = pull_counts(progress);
    fmt::print(stderr, "{}{}{}\n", label_, counts.empty() ? "" : " ", counts);
  }

  std::string label_;
  ProgressForm form_;
  TerminalLine line_;
  std::optional<std::int64_t> printed_;
};

PulledModel pull_shown(const std::string& repo, PullOptions options, ProgressStyle style) {
  PullDisplay display(repo, style);
  options.progress = [&display](const PullProgress& progress) { display.show(progress); };
  return pull(repo, options);
}

void add_choices(CLI::App& app, PullCommandOptions& o) {
  const auto more_parts = [&o](const CLI::results_t& texts) {
    o.pull.parts = texts;
    return true;
  };
  const auto more_patterns = [&o](const CLI::results_t& texts) {
    o.pull.include = texts;
    return true;
  };
  app.add_option("--only", more_parts,
                 "a part alone (repeat): transformer, text_encoder, vae, tokenizer, scheduler")
      ->type_name("PART")
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--include", more_patterns,
                 "files of the repository by pattern (repeat) instead of a model's: \"*.gguf\"")
      ->type_name("PATTERN")
      ->take_all()
      ->allow_extra_args(false)
      ->excludes("--only");
}

}  // namespace

std::string pull_counts(const PullProgress& progress) {
  if (progress.total <= 0) return {};
  std::string text =
      fmt::format("{} of {}", with_prefix(progress.done, "B"), with_prefix(progress.total, "B"));
  const double rate =
      progress.seconds > 0 ? static_cast<double>(progress.received) / progress.seconds : 0;
  if (rate < 1 || progress.done >= progress.total) return text;
  const double left = static_cast<double>(progress.total - progress.done) / rate;
  return text + fmt::format(", {}/s, {} left", with_prefix(static_cast<std::int64_t>(rate), "B"),
                            duration(left));
}

CLI::App* add_pull(CLI::App& program, PullCommandOptions& o) {
  CLI::App* app = program.add_subcommand("pull", "Bring a model from the Hugging Face Hub");
  app->set_help_flag("-h,--help", "Print this and exit");
  app->add_option("repository", o.repo, "org/name or org/name@revision")
      ->type_name("REPOSITORY")
      ->required();
  app->add_option("--revision", o.pull.revision, "branch, tag or commit; default: main")
      ->type_name("REVISION");
  add_choices(*app, o);
  app->add_option("--cache-dir", o.pull.cache_dir, "instead of the hub's cache")->type_name("DIR");
  constexpr int kMostConnections = 64;
  add_number<int>(*app, "--connections", o.pull.connections, {1, kMostConnections},
                  "at the same time; default: 8");
  add_progress_option(*app, o.progress, "Options");
  app->add_flag("--json", o.json, "one JSON object on standard output");
  add_verbosity(*app, o.verbosity, "Options");
  app->footer(kExamples);
  return app;
}

void run_pull(const PullCommandOptions& options) {
  set_verbosity(options.verbosity);
  const bool quiet = options.verbosity == Verbosity::quiet;
  const StopOnSignal signals;
  PullOptions how = options.pull;
  how.stop = signals.token();
  const PulledModel model =
      pull_shown(options.repo, how, quiet ? ProgressStyle::none : options.progress);
  spdlog::info("{} {} is {}: {} files, {} received", model.repo, one_line(model.revision),
               model.commit, model.files, with_prefix(model.bytes, "B"));
  print_to_stdout(options.json ? pull_report(model) : model.path.string());
}

std::string bring_model(const std::string& model, ProgressStyle style,
                        const std::stop_token& stop) {
  if (!names_repository(model)) return find_model(model).string();
  return pull_shown(model, {.access = HubAccess::cached, .stop = stop}, style).path.string();
}

}  // namespace flux2::cli
