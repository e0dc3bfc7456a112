#include "pipeline/diffusers_folder.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "base/atomic_file.h"
#include "flux2/error.h"
#include "pipeline/embedded_tokenizer.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kIndex = "model_index.json";
constexpr const char* kDefaults = "flux2.json";
constexpr const char* kTokenizer = "tokenizer";

// Weights, in formats that are read and in others: none of them is copied.
bool holds_weights(const fs::path& file) {
  constexpr std::array<std::string_view, 8> kEndings = {
      ".safetensors", ".gguf", ".bin", ".pt", ".ckpt", ".pth", ".onnx", ".msgpack"};
  const std::string name = file.filename().string();
  return name.find(".safetensors.index") != std::string::npos ||
         std::any_of(kEndings.begin(), kEndings.end(),
                     [&](std::string_view ending) { return name.ends_with(ending); });
}

bool is_hidden(const fs::path& path) {
  return path.filename().string().starts_with('.');
}

bool is_part(const std::string& name) {
  return name == kTokenizer || name == name_of(PartKind::transformer) ||
         name == name_of(PartKind::text_encoder) || name == name_of(PartKind::vae);
}

std::string dump(const Json& json) {
  constexpr int kIndent = 2;
  return json.dump(kIndent) + "\n";
}

std::string model_index_of(const ModelFolder& model) {
  const bool dev = model.traits->prompt == PromptFamily::dev;
  Json json = {{"_class_name", model.pipeline_class}};
  if (model.traits->family == Family::klein || model.traits->family == Family::klein_base) {
    json["is_distilled"] = model.traits->family == Family::klein;
  }
  json["scheduler"] = {"diffusers", "FlowMatchEulerDiscreteScheduler"};
  json["text_encoder"] = {"transformers",
                          dev ? "Mistral3ForConditionalGeneration" : "Qwen3ForCausalLM"};
  json["tokenizer"] = {"transformers", dev ? "PixtralProcessor" : "Qwen2TokenizerFast"};
  json["transformer"] = {"diffusers", "Flux2Transformer2DModel"};
  json["vae"] = {"diffusers", "AutoencoderKLFlux2"};
  return dump(json);
}

// As every FLUX.2 model was published with it.
std::string published_scheduler() {
  return dump({{"_class_name", "FlowMatchEulerDiscreteScheduler"},
               {"base_image_seq_len", 256},
               {"base_shift", 0.5},
               {"max_image_seq_len", 4096},
               {"max_shift", 1.15},
               {"num_train_timesteps", 1000},
               {"shift", 3.0},
               {"time_shift_type", "exponential"},
               {"use_dynamic_shifting", true}});
}

}  // namespace

FolderSource FolderSource::open(const ModelSource& source) {
  FolderSource result;
  result.places = find_parts(source);
  const auto& parts = result.places.parts;
  if (!parts.contains(PartKind::transformer) || !parts.contains(PartKind::vae)) return result;
  result.model = ModelFolder::open(source);
  result.places = result.model->places;
  return result;
}

DiffusersFolder::DiffusersFolder(const FolderSource& source, fs::path path)
    : folder_(std::move(path)) {
  for (const auto& [part, place] : source.places.parts)
    write_part_files(part, place);
  if (source.model) write_model_files(*source.model);
}

fs::path DiffusersFolder::weights_path(PartKind part) const {
  const std::string stem(weights_stem(name_of(part)));
  return folder_.path() / name_of(part) / (stem + ".safetensors");
}

void DiffusersFolder::write_part_files(PartKind part, const fs::path& path) {
  const fs::path folder(name_of(part));
  folder_.make_folder(folder);
  if (!fs::exists(path / "config.json")) {
    return write(folder / "config.json", config_of_part(path, part).file.json());
  }
  for (const auto& entry : fs::directory_iterator(path)) {
    if (!entry.is_regular_file() || is_hidden(entry.path()) || holds_weights(entry.path()))
      continue;
    folder_.copy(entry.path(), folder / entry.path().filename());
  }
}

void DiffusersFolder::write_model_files(const ModelFolder& model) {
  const fs::path& home = model.places.pipeline_folder;
  if (model.family_from == kIndex) {
    folder_.copy(home / kIndex, kIndex);
  } else {
    write(kIndex, model_index_of(model));
  }
  if (home.empty()) {
    folder_.make_folder("scheduler");
    write("scheduler/scheduler_config.json", published_scheduler());
    const fs::path defaults = model.places.home / kDefaults;
    if (!model.places.home.empty() && fs::exists(defaults)) folder_.copy(defaults, kDefaults);
  } else {
    for (const auto& entry : fs::directory_iterator(home)) {
      const std::string name = entry.path().filename().string();
      if (is_hidden(entry.path()) || is_part(name) || name == kIndex) continue;
      copy_tree(entry.path(), name);
    }
  }
  if (model.places.parts.contains(PartKind::text_encoder)) write_tokenizer(model);
}

// A file, or a folder with all below it, without weights.
void DiffusersFolder::copy_tree(const fs::path& from, const fs::path& relative) {
  if (fs::is_regular_file(from)) {
    if (!holds_weights(from)) folder_.copy(from, relative);
    return;
  }
  if (!fs::is_directory(from)) return;
  folder_.make_folder(relative);
  for (const auto& entry : fs::directory_iterator(from)) {
    if (!is_hidden(entry.path())) copy_tree(entry.path(), relative / entry.path().filename());
  }
}

void DiffusersFolder::write_tokenizer(const ModelFolder& model) {
  constexpr std::array kFiles = {"tokenizer.json",
                                 "tokenizer_config.json",
                                 "vocab.json",
                                 "merges.txt",
                                 "tekken.json",
                                 "special_tokens_map.json",
                                 "added_tokens.json",
                                 "chat_template.jinja",
                                 "chat_template.json",
                                 "processor_config.json",
                                 "preprocessor_config.json"};
  const fs::path& text_encoder = model.places.parts.at(PartKind::text_encoder);
  const fs::path& named = model.places.tokenizer;
  if (fs::is_directory(named)) return copy_tree(named, kTokenizer);
  if (!named.empty()) return folder_.copy(named, fs::path(kTokenizer) / named.filename());
  if (const auto tekken = embedded_tekken(model.weights_of("text_encoder"))) {
    folder_.make_folder(kTokenizer);
    return write(fs::path(kTokenizer) / "tekken.json", *tekken);
  }
  const fs::path beside = tokenizer_beside(text_encoder);
  if (beside.empty()) {
    throw Error(ErrorCode::bad_file, "has no tokenizer that a folder can take over",
                text_encoder.string(),
                "give it: --tokenizer FILE (tokenizer.json or tekken.json, or the folder with it)");
  }
  for (const char* file : kFiles)
    if (fs::exists(beside / file)) folder_.copy(beside / file, fs::path(kTokenizer) / file);
}

void DiffusersFolder::write(const fs::path& relative, const std::string& text) {
  write_file(folder_.path() / relative, std::as_bytes(std::span(text)));
}

}  // namespace flux2
