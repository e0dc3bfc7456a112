#include "pipeline/model_files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <string_view>

#include "checkpoint/checkpoint.h"
#include "flux2/error.h"
#include "pipeline/model_folder.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kParts = {"scheduler", "text_encoder", "tokenizer", "transformer",
                                         "vae"};

bool has_weights(const std::string& part) {
  return part != "scheduler" && part != "tokenizer";
}

std::string config_of(const std::string& part) {
  return part + (part == "scheduler" ? "/scheduler_config.json" : "/config.json");
}

// Configs, vocabularies, chat templates: everything but weights.
bool is_text(std::string_view path) {
  for (const std::string_view ending : {".json", ".txt", ".jinja", ".model"}) {
    if (path.ends_with(ending)) return true;
  }
  return false;
}

bool is_weight_index(std::string_view path) {
  return path.find(".index") != std::string_view::npos;
}

// A file of the part itself, in none of its subfolders.
bool is_of(const std::string& path, const std::string& part) {
  return path.starts_with(part + "/") && path.find('/', part.size() + 1) == std::string::npos;
}

}  // namespace

ModelFiles::ModelFiles(std::vector<std::string> paths, const std::vector<std::string>& parts)
    : paths_(std::move(paths)), parts_(parts.empty() ? kParts : parts) {
  std::sort(paths_.begin(), paths_.end());
  std::sort(parts_.begin(), parts_.end());
  for (const std::string& part : parts_) {
    if (std::find(kParts.begin(), kParts.end(), part) != kParts.end()) continue;
    throw Error(ErrorCode::invalid_request, fmt::format("there is no part {}", part), "parts",
                fmt::format("known are {}", fmt::join(kParts, ", ")));
  }
}

bool ModelFiles::has(const std::string& path) const {
  return std::binary_search(paths_.begin(), paths_.end(), path);
}

std::optional<std::string> ModelFiles::weights_of(const std::string& part) const {
  for (const std::string& name : weights_names(weights_stem(part))) {
    if (has(part + "/" + name)) return part + "/" + name;
  }
  return std::nullopt;
}

std::vector<std::string> ModelFiles::small() const {
  std::vector<std::string> files;
  for (const std::string& path : paths_) {
    bool wanted = path == "model_index.json" || path == "flux2.json";
    for (const std::string& part : parts_) {
      const bool text = is_of(path, part) && is_text(path) && !is_weight_index(path);
      wanted = wanted || text || (has_weights(part) && weights_of(part) == path && is_text(path));
    }
    if (wanted) files.push_back(path);
  }
  return files;
}

std::vector<std::string> ModelFiles::weights(const fs::path& root) const {
  std::set<std::string> files;
  for (const std::string& part : parts_) {
    const auto source = has_weights(part) ? weights_of(part) : std::nullopt;
    if (source && !is_text(*source)) files.insert(*source);
    if (!source || !is_text(*source)) continue;
    for (const auto& [tensor, shard] : read_weight_map(root / *source))
      files.insert(part + "/" + shard);
  }
  return {files.begin(), files.end()};
}

std::optional<std::string> ModelFiles::missing() const {
  if (!has("model_index.json")) return "model_index.json";
  for (const std::string& part : parts_) {
    if (part == "tokenizer") continue;
    if (!has(config_of(part))) return config_of(part);
    if (has_weights(part) && !weights_of(part)) {
      return fmt::format("{}/{}.safetensors", part, weights_stem(part));
    }
  }
  const bool tokenizer = has("tokenizer/tokenizer.json") || has("tokenizer/tekken.json") ||
                         (has("tokenizer/vocab.json") && has("tokenizer/merges.txt"));
  const bool wanted = std::find(parts_.begin(), parts_.end(), "tokenizer") != parts_.end();
  if (wanted && !tokenizer) return "tokenizer/tokenizer.json";
  return std::nullopt;
}

std::optional<std::string> missing_from(const LocalModel& local) {
  const ModelFiles model(local.there, local.parts);
  if (const auto file = model.missing()) return file;
  std::vector<std::string> needed = model.weights(local.snapshot);
  if (local.listed) {
    // Weights may be there in another variant than the one that would be pulled.
    for (const std::string& path : ModelFiles(*local.listed, local.parts).small()) {
      if (!is_weight_index(path)) needed.push_back(path);
    }
  }
  for (const std::string& path : needed) {
    if (!std::binary_search(local.there.begin(), local.there.end(), path)) return path;
  }
  return std::nullopt;
}

}  // namespace flux2
