#include "pipeline/model_places.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

constexpr const char* kIndex = "model_index.json";
constexpr std::array kParts = {PartKind::transformer, PartKind::text_encoder, PartKind::vae};
// Where files of weights lie beside each other: in the folder itself, as BFL publishes them, or
// sorted as ComfyUI keeps them.
constexpr std::array kFileFolders = {"",     "diffusion_models", "unet", "vae", "text_encoders",
                                     "clip", "checkpoints"};
constexpr std::size_t kMostFiles = 256;

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

[[noreturn]] void refuse(const fs::path& path, const std::string& what, const std::string& hint) {
  throw Error(ErrorCode::bad_file, what, path.string(), hint);
}

std::string option_of(PartKind part) {
  switch (part) {
    case PartKind::transformer:
      return "--transformer";
    case PartKind::text_encoder:
      return "--text-encoder";
    case PartKind::vae:
      return "--vae";
  }
  return {};
}

// The subfolders that Diffusers gives the parts, those that are there.
void take_subfolders(const fs::path& folder, ModelPlaces& places) {
  for (const PartKind part : kParts) {
    const fs::path subfolder = folder / name_of(part);
    // ComfyUI has a folder called vae as well, with files of other names in it.
    if (is_file(subfolder / "config.json")) places.parts.emplace(part, subfolder);
  }
  if (is_folder(folder / "tokenizer")) places.tokenizer = folder / "tokenizer";
}

std::vector<fs::path> weights_files(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const char* subfolder : kFileFolders) {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder / subfolder, ignored)) {
      if (is_weights_file(entry.path()) && is_file(entry.path())) files.push_back(entry.path());
      if (files.size() > kMostFiles) {
        refuse(folder, fmt::format("holds more than {} files of weights", kMostFiles),
               "name the ones to use: --transformer, --text-encoder, --vae");
      }
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

// Files of weights in `folder`, told apart by what they hold. A part that is named in `source` is
// not looked for.
void take_files(const fs::path& folder, const ModelSource& source, ModelPlaces& places) {
  const std::map<PartKind, const fs::path*> named = {{PartKind::transformer, &source.transformer},
                                                     {PartKind::text_encoder, &source.text_encoder},
                                                     {PartKind::vae, &source.vae}};
  for (const fs::path& file : weights_files(folder)) {
    for (const PartKind part : parts_in_file(file)) {
      if (!named.at(part)->empty() || places.parts.contains(part)) {
        if (!named.at(part)->empty() || is_folder(places.parts.at(part))) continue;
        refuse(folder,
               fmt::format("holds two files for the {}, {} and {}", name_of(part),
                           places.parts.at(part).filename().string(), file.filename().string()),
               fmt::format("say which one: {} FILE", option_of(part)));
      }
      places.parts.emplace(part, file);
    }
  }
}

// The part that `folder` is of: all weights in it have the names that this part's have in its own
// folder.
std::optional<PartKind> part_of_folder(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (is_weights_file(entry.path())) names.push_back(entry.path().filename().string());
  if (names.empty()) return std::nullopt;
  for (const PartKind part : kParts) {
    const std::string_view stem = weights_stem(name_of(part));
    const std::vector<std::string> known = weights_names(stem);
    if (std::none_of(known.begin(), known.end(),
                     [&](const std::string& name) { return is_file(folder / name); }) ||
        !std::all_of(names.begin(), names.end(),
                     [&](const std::string& name) { return name.starts_with(stem); })) {
      continue;
    }
    const Naming* naming = Checkpoint::open(folder, stem).naming();
    if (naming != nullptr && naming->part == part) return part;
  }
  return std::nullopt;
}

void take_model(const ModelSource& source, ModelPlaces& places) {
  const fs::path path = find_model(source.model);
  places.path = path;
  places.home = path;
  if (is_file(path / kIndex)) {
    places.pipeline_folder = path;
    for (const PartKind part : kParts)
      if (is_folder(path / name_of(part))) places.parts.emplace(part, path / name_of(part));
    if (is_folder(path / "tokenizer")) places.tokenizer = path / "tokenizer";
  } else if (const std::optional<PartKind> part = part_of_folder(path)) {
    places.parts.emplace(*part, path);
  } else if (is_folder(path)) {
    take_subfolders(path, places);
    take_files(path, source, places);
  } else if (is_file(path)) {
    for (const PartKind part : parts_in_file(path))
      places.parts.emplace(part, path);
    // Nothing of FLUX.2: opening it as what it should be says what it is.
    if (places.parts.empty()) Checkpoint::open(path, PartKind::transformer);
  } else {
    refuse(path, "there is no such folder or file", "give a model folder or file");
  }
}

// A folder of a whole pipeline stands for its part.
fs::path named_part(const fs::path& path, const fs::path& subfolder) {
  if (is_file(path / kIndex)) return path / subfolder;
  if (!is_folder(path) && !is_file(path)) {
    refuse(path, "there is no such folder or file",
           fmt::format("it was given as the {}", subfolder.string()));
  }
  return path;
}

void take_named(const ModelSource& source, ModelPlaces& places) {
  for (const auto& [part, path] : {std::pair{PartKind::transformer, &source.transformer},
                                   std::pair{PartKind::text_encoder, &source.text_encoder},
                                   std::pair{PartKind::vae, &source.vae}}) {
    if (!path->empty()) places.parts[part] = named_part(*path, name_of(part));
  }
  if (!source.transformer.empty()) {
    const fs::path& transformer = places.parts.at(PartKind::transformer);
    places.pipeline_folder = pipeline_folder_of(transformer);
    places.home = places.pipeline_folder;
    if (places.path.empty()) places.path = transformer;
  }
  // The tokenizer of a model goes with its text encoder.
  if (!source.text_encoder.empty()) places.tokenizer.clear();
  if (!source.tokenizer.empty()) places.tokenizer = named_part(source.tokenizer, "tokenizer");
}

ModelPlaces collect(const ModelSource& source) {
  ModelPlaces places;
  if (!source.model.empty()) take_model(source, places);
  take_named(source, places);
  return places;
}

}  // namespace

fs::path folder_of(const fs::path& part) {
  return is_folder(part) ? part : part.parent_path();
}

fs::path pipeline_folder_of(const fs::path& transformer) {
  const fs::path folder = folder_of(fs::absolute(transformer).lexically_normal());
  const bool in_place =
      folder.filename() == "transformer" && is_file(folder.parent_path() / kIndex);
  return in_place ? folder.parent_path() : fs::path();
}

ModelPlaces find_parts(const ModelSource& source) {
  ModelPlaces places = collect(source);
  if (places.parts.empty()) {
    refuse(places.path, "holds nothing of FLUX.2", "give a model or files of its weights");
  }
  return places;
}

ModelPlaces find_places(const ModelSource& source) {
  ModelPlaces places = collect(source);
  for (const PartKind part : {PartKind::transformer, PartKind::vae}) {
    if (places.parts.contains(part)) continue;
    // A file that is not what it was given as is the nearer reason.
    for (const auto& [given, path] : places.parts)
      Checkpoint::open(path, given);
    const std::string where = source.model.empty() ? std::string("model") : places.path.string();
    throw Error(ErrorCode::bad_file, fmt::format("has no {} of FLUX.2", name_of(part)), where,
                fmt::format("give a folder with model_index.json, or the part itself: {} FILE",
                            option_of(part)));
  }
  return places;
}

}  // namespace flux2
