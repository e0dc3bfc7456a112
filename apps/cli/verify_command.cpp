#include "verify_command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "flux2/error.h"
#include "flux2/verify.h"
#include "json_report.h"
#include "machine_options.h"
#include "model_options.h"
#include "option_binding.h"
#include "part_progress.h"
#include "pull_command.h"
#include "signals.h"

namespace flux2::cli {
namespace {

constexpr int kMostThreads = 1024;

constexpr const char* kExamples = R"(
Examples:
  flux2 verify FLUX.2-klein-4B
  flux2 verify flux-2-klein-4b-Q4_K.gguf --against FLUX.2-klein-4B
  flux2 verify transformer.safetensors qwen3-4b.gguf flux2-vae.safetensors -v
  flux2 verify downloaded.safetensors --json > report.json

The exit status is 0 if all is good and 3 if something is wrong.)";

// least -0.12, most 0.13, mean 0.021; scales ...
std::string numbers_of(const VerifiedTensor& tensor) {
  std::string text;
  if (tensor.numbers) {
    text += fmt::format("  {:.3g} to {:.3g}, mean magnitude {:.3g}", tensor.numbers->least,
                        tensor.numbers->most, tensor.numbers->mean_magnitude);
  }
  if (tensor.scales) {
    text += fmt::format("; {} scales {:.3g} to {:.3g}", tensor.scales->count, tensor.scales->least,
                        tensor.scales->most);
  }
  if (tensor.difference) {
    text += fmt::format("; error {:.2g} of {:.2g} allowed, cosine {:.4f}",
                        tensor.difference->relative_error, tensor.difference->allowed_error,
                        tensor.difference->cosine);
  }
  return text;
}

std::string line_of(const VerifiedTensor& tensor) {
  const std::string stored =
      tensor.stored_name == tensor.name ? "" : fmt::format(" (as {})", tensor.stored_name);
  return one_line(fmt::format("  {}{}  {}, {} [{}]{}", tensor.name, stored, tensor.role,
                              tensor.stored_as, fmt::join(tensor.shape, ", "), numbers_of(tensor)));
}

// The layer that is furthest from its parent, as a share of what is allowed.
std::string comparison_of(const VerifiedPart& part) {
  const VerifiedTensor* worst = nullptr;
  int compared = 0, off = 0;
  for (const VerifiedTensor& tensor : part.tensors) {
    if (!tensor.difference) continue;
    ++compared;
    off += tensor.difference->off ? 1 : 0;
    if (worst == nullptr || tensor.difference->relative_error > worst->difference->relative_error) {
      worst = &tensor;
    }
  }
  if (worst == nullptr) return {};
  return fmt::format(
      "\n  {} compared with their parents, {} of them off; largest error {:.3g} "
      "(cosine {:.4f}) in {}",
      compared, off, worst->difference->relative_error, worst->difference->cosine, worst->name);
}

std::string text_of(const VerifiedPart& verified, Verbosity verbosity) {
  const ModelPart& part = verified.part;
  std::string text = fmt::format(
      "{}: {}, {}\n  {} parameters in {} tensors, {}, {}\n  {}", one_line(part.path.string()),
      part.name, part.class_name, with_prefix(part.parameters, ""), part.tensors,
      fmt::join(part.dtypes, "+"), with_prefix(part.bytes, "B"), one_line(verified.because));
  for (const std::string& note : part.notes)
    text += "\n  " + one_line(note);
  text += comparison_of(verified);
  if (verbosity != Verbosity::verbose) return text;
  for (const VerifiedTensor& tensor : verified.tensors)
    text += "\n" + line_of(tensor);
  return text;
}

std::string text_of(const VerifyReport& report, Verbosity verbosity) {
  constexpr std::size_t kListed = 50;
  std::string text;
  std::int64_t tensors = 0;
  for (const VerifiedPart& part : report.parts) {
    text += text_of(part, verbosity) + "\n";
    tensors += part.part.tensors;
  }
  for (std::size_t i = 0; i < std::min(kListed, report.problems.size()); ++i) {
    const VerifyProblem& problem = report.problems[i];
    text += one_line(fmt::format("problem: {}: {}", problem.where, problem.what)) + "\n";
  }
  if (report.problems.size() > kListed) {
    text += fmt::format("... and {} more\n", report.problems.size() - kListed);
  }
  if (!report.taken_for.empty()) text += fmt::format("together: {}\n", report.taken_for);
  return text + fmt::format("{}: {} parts, {} tensors, {} problems",
                            report.problems.empty() ? "good" : "not good", report.parts.size(),
                            tensors, report.problems.size());
}

}  // namespace

CLI::App* add_verify(CLI::App& program, VerifyCommand& options) {
  CLI::App* app = program.add_subcommand(
      "verify", "Look at every tensor of a model or of files: what they are, what is wrong");
  app->set_help_flag("-h,--help", "Print this and exit");
  const auto assign = [&options](const CLI::results_t& texts) {
    options.files = texts;
    return true;
  };
  app->add_option("file", assign,
                  "models, folders of parts, files of weights, or repositories of the Hugging "
                  "Face Hub; several are held against each other")
      ->type_name("FILE")
      ->expected(1, CLI::detail::expected_max_vector_size)
      ->allow_extra_args();
  add_text(*app, "--against", options.against, "OTHER",
           "what the files were made from: every tensor is compared with its parent");
  add_variant(*app, options.variant, "");
  add_number<int>(*app, "--threads", options.threads, {1, kMostThreads},
                  "default: the cores that this process may use");
  add_progress_option(*app, options.progress, "");
  add_verbosity(*app, options.verbosity, "");
  app->add_flag("--json", options.json, "one JSON object about every tensor on standard output");
  app->footer(kExamples);
  return app;
}

void run_verify(const VerifyCommand& options) {
  set_verbosity(options.verbosity);
  const bool quiet = options.verbosity == Verbosity::quiet;
  const ProgressStyle style = quiet ? ProgressStyle::none : options.progress;
  const StopOnSignal signals;
  std::vector<std::string> files;
  for (const std::string& file : options.files)
    files.push_back(bring_model(file, style, signals.token()));
  VerifyOptions how = {
      .variant = options.variant, .threads = options.threads, .stop = signals.token()};
  if (!options.against.empty()) how.against = bring_model(options.against, style, signals.token());
  VerifyReport report;
  {
    PartProgress display(style);
    how.progress = [&display](const VerifyProgress& progress) {
      display.show(progress.part, progress.done, progress.total);
    };
    report = verify_files(files, how);
  }
  print_to_stdout(options.json ? verify_report(report) : text_of(report, options.verbosity));
  if (report.problems.empty()) return;
  throw Error(ErrorCode::bad_file, fmt::format("{} problems found", report.problems.size()),
              options.files.front(), options.json ? "" : "they are listed above");
}

}  // namespace flux2::cli
