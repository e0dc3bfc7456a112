#include "checkpoint/model_index.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "checkpoint/config_file.h"
#include "checkpoint/in_quotes.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLayout =
    "a model is a folder in Diffusers layout: model_index.json, transformer, text_encoder, vae, "
    "tokenizer, scheduler";
constexpr std::string_view kSchedulerClass = "FlowMatchEulerDiscreteScheduler";

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

void require_known_keys(const ConfigFile& config, std::initializer_list<std::string_view> known) {
  for (const std::string& key : config.keys()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    throw Error(ErrorCode::bad_file, fmt::format("unknown key {}", in_quotes(key)), config.name(),
                fmt::format("known here are {}", fmt::join(known, ", ")));
  }
}

std::optional<std::int64_t> optional_integer(const ConfigFile& config, std::string_view key,
                                             std::int64_t least, std::int64_t most) {
  if (!config.has(key)) return std::nullopt;
  return config.integer(key, least, most);
}

// Width or height in pixels.
std::optional<std::int64_t> optional_side(const ConfigFile& config, std::string_view key) {
  const std::optional<std::int64_t> side = optional_integer(config, key, 16, 16384);
  if (side && *side % 16 != 0) {
    throw Error(ErrorCode::bad_file, fmt::format("\"defaults.{}\" is {}", key, *side),
                config.name(), "sizes are multiples of 16 pixels");
  }
  return side;
}

SigmaShift sigma_shift_of(const ConfigFile& config) {
  const std::string type = config.text("time_shift_type", "exponential");
  if (type != "exponential" && type != "linear") {
    throw Error(ErrorCode::bad_file, fmt::format("unknown \"time_shift_type\" {}", in_quotes(type)),
                config.name(), "known are exponential and linear");
  }
  if (!config.flag("use_dynamic_shifting", false)) return SigmaShift::fixed;
  return type == "linear" ? SigmaShift::linear : SigmaShift::exponential;
}

}  // namespace

ModelIndex read_model_index(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) {
    throw Error(ErrorCode::bad_file, "there is no such folder", folder.string(), kLayout);
  }
  if (!is_file(folder / "model_index.json")) {
    throw Error(ErrorCode::bad_file, "has no model_index.json", folder.string(), kLayout);
  }
  const ConfigFile config = ConfigFile::read(folder / "model_index.json");
  ModelIndex index;
  index.class_name = config.text("_class_name");
  if (config.has("is_distilled")) index.is_distilled = config.flag("is_distilled");
  for (const std::string& key : config.keys()) {
    if (key.starts_with('_') || !config.is_list(key)) continue;
    const std::vector<std::string> words = config.texts(key);
    if (words.size() != 2) {
      throw Error(ErrorCode::bad_file,
                  fmt::format("{} is not a library and a class", in_quotes(key)), config.name(),
                  "the file is damaged: get it again");
    }
    if (!words[1].empty()) index.components.emplace(key, ModelComponent{words[0], words[1]});
  }
  return index;
}

FolderDefaults read_folder_defaults(const fs::path& folder) {
  const fs::path path = folder / "flux2.json";
  FolderDefaults result;
  if (!is_file(path)) return result;
  const ConfigFile config = ConfigFile::read(path);
  require_known_keys(config, {"name", "defaults"});
  if (config.has("name")) result.name = config.text("name");
  const ConfigFile defaults = config.section("defaults");
  require_known_keys(defaults, {"width", "height", "num_inference_steps", "guidance_scale",
                                "max_sequence_length"});
  result.width = optional_side(defaults, "width");
  result.height = optional_side(defaults, "height");
  result.num_inference_steps = optional_integer(defaults, "num_inference_steps", 1, 1000);
  result.max_sequence_length = optional_integer(defaults, "max_sequence_length", 1, 131072);
  if (defaults.has("guidance_scale")) {
    result.guidance_scale = defaults.number("guidance_scale", 0.0, 1000.0);
  }
  return result;
}

SchedulerSettings read_scheduler_settings(const fs::path& folder) {
  const ConfigFile config = ConfigFile::read(folder / "scheduler_config.json");
  const std::string class_name = config.text("_class_name", std::string(kSchedulerClass));
  if (class_name != kSchedulerClass) {
    throw Error(ErrorCode::bad_file, fmt::format("describes a {}", in_quotes(class_name)),
                config.name(), fmt::format("FLUX.2 is sampled with {}", kSchedulerClass));
  }
  bool special = config.has("shift_terminal");
  for (const char* key : {"invert_sigmas", "stochastic_sampling", "use_karras_sigmas",
                          "use_exponential_sigmas", "use_beta_sigmas"}) {
    special = special || config.flag(key, false);
  }
  if (special) {
    throw Error(ErrorCode::bad_file,
                "asks for a shift_terminal, or for Karras, exponential, beta, inverted or "
                "stochastic sigmas",
                config.name(), "no FLUX.2 model uses them: set them to null and false");
  }
  return {.num_train_timesteps =
              static_cast<int>(config.integer("num_train_timesteps", 1, 1'000'000, 1000)),
          .shift = config.number("shift", 1e-6, 1e6, 1.0),
          .sigma_shift = sigma_shift_of(config)};
}

}  // namespace flux2
