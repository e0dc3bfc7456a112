#include "models_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "flux2/hub.h"
#include "flux2/model.h"
#include "json_report.h"
#include "log.h"
#include "option_binding.h"
#include "pull_command.h"
#include "signals.h"
#include "stored_text.h"

namespace flux2::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kExamples = R"(
Examples:
  flux2 models                      the model that comes with the program
  flux2 models ~/models             every model in a folder of models
  flux2 models FLUX.2-klein-4B --json
  flux2 models flux2-vae.safetensors qwen3-4b-Q8_0.gguf    what single files are)";

constexpr const char* kIndexFile = "model_index.json";

// The folder itself, or the models in it.
std::vector<fs::path> model_folders(const fs::path& path) {
  std::vector<fs::path> folders;
  std::error_code ignored;
  if (fs::is_directory(path, ignored) && !fs::exists(path / kIndexFile, ignored)) {
    for (const auto& entry : fs::directory_iterator(path, ignored)) {
      if (fs::exists(entry.path() / kIndexFile, ignored)) folders.push_back(entry.path());
    }
    std::sort(folders.begin(), folders.end());
  }
  if (folders.empty()) folders.push_back(path);  // inspect_model says what is wrong with it
  return folders;
}

std::string text_of(const ModelPart& part) {
  std::string text = fmt::format(
      "\n  {:<13} {:<32} {:>9} {:>10}  {} in {} tensors\n  {:13} {} names, sizes from {}, in {}",
      part.name, part.class_name, with_prefix(part.parameters, ""), with_prefix(part.bytes, "B"),
      describe_types(part), part.tensors, "", part.names, part.sizes_from,
      one_line(part.path.string()));
  for (const std::string& note : part.notes)
    text += fmt::format("\n  {:13} {}", "", one_line(note));
  return text;
}

std::string text_of(const ModelFile& file) {
  std::string text = one_line(file.path.string()) + ":";
  for (const ModelPart& part : file.parts)
    text += text_of(part);
  return text;
}

std::string text_of(const ModelInfo& model) {
  const ModelDefaults& defaults = model.defaults;
  std::string text =
      fmt::format("{}: {}, {} (by {})\n  in {}\n", model.name, to_string(model.family),
                  model.pipeline_class, model.family_from, one_line(model.path.string()));
  text += fmt::format("  by default {} x {}, {} steps, guidance {}, {} text tokens", defaults.width,
                      defaults.height, defaults.num_inference_steps, defaults.guidance_scale,
                      defaults.max_sequence_length);
  for (const ModelPart& part : model.parts)
    text += text_of(part);
  return text;
}

// org/name@revision, 7.9 GB
std::string text_of(const CachedModel& model) {
  std::string text = fmt::format("{}{}: {} in {}", model.repo,
                                 model.revision == "main" ? "" : "@" + model.revision,
                                 with_prefix(model.bytes, "B"), one_line(model.path.string()));
  if (!model.missing.empty()) {
    text +=
        fmt::format("\n  incomplete, without {}: flux2 pull brings it", one_line(model.missing));
  }
  return text;
}

}  // namespace

CLI::App* add_models(CLI::App& program, ModelsOptions& options) {
  CLI::App* app = program.add_subcommand("models", "Say what model folders hold");
  app->set_help_flag("-h,--help", "Print this and exit");
  const auto assign = [&options](const CLI::results_t& texts) {
    options.paths = texts;
    return true;
  };
  app->add_option("path", assign,
                  "models, folders of them, files of weights, or repositories of the Hugging "
                  "Face Hub; default: the built-in model and what is in the hub's cache")
      ->type_name("PATH")
      ->expected(1, CLI::detail::expected_max_vector_size)
      ->allow_extra_args();
  add_model_parts(*app, options.parts, "Parts");
  app->add_flag("--json", options.json, "one JSON array on standard output");
  app->footer(kExamples);
  return app;
}

void run_models(const ModelsOptions& options) {
  const std::vector<std::string> asked =
      options.paths.empty() ? std::vector<std::string>{"nano"} : options.paths;
  const StopOnSignal signals;
  std::vector<ModelInfo> models;
  std::vector<ModelFile> files;
  for (const std::string& path : asked) {
    const fs::path found = bring_model(path, ProgressStyle::automatic, signals.token());
    std::error_code ignored;
    if (fs::is_regular_file(found, ignored) && !options.parts.any()) {
      files.push_back(inspect_file(found));
      continue;
    }
    for (const fs::path& folder : model_folders(found))
      models.push_back(inspect_model(options.parts.over(folder.string())));
  }
  std::vector<CachedModel> cached;
  if (options.paths.empty()) cached = cached_models();
  if (options.json) {
    for (const CachedModel& model : cached) {
      if (model.missing.empty()) models.push_back(inspect_model(model.path));
    }
    return print_to_stdout(models_report(models, files));
  }
  std::string text;
  const auto add = [&text](const auto& item) {
    text += (text.empty() ? "" : "\n\n") + text_of(item);
  };
  std::for_each(models.begin(), models.end(), add);
  std::for_each(files.begin(), files.end(), add);
  if (!cached.empty()) text += "\n\nIn the cache of the Hugging Face Hub:";
  for (const CachedModel& model : cached)
    text += "\n" + text_of(model);
  print_to_stdout(text);
}

}  // namespace flux2::cli
