#include "checkpoint/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>

#include "base/mapped_file.h"
#include "checkpoint/config_file.h"
#include "checkpoint/in_quotes.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/strangers.h"
#include "checkpoint/weights_file.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEnding = ".safetensors";
// Where weights lie in several precisions side by side, in the order of preference.
constexpr std::array<std::string_view, 3> kVariants = {"", ".bf16", ".fp16"};

[[noreturn]] void refuse(const fs::path& file, const std::string& what, const std::string& hint) {
  throw Error(ErrorCode::bad_file, what, file.string(), hint);
}

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

// A shard is a plain name in the folder of its index: no path can lead elsewhere, and no index can
// name an index.
void require_plain_name(const fs::path& index, const std::string& tensor,
                        const std::string& shard) {
  const bool plain = shard.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
  if (plain && shard.size() > kEnding.size() && shard.ends_with(kEnding)) return;
  refuse(index,
         fmt::format("puts tensor {} into {}, which is not the name of a .safetensors file in the "
                     "same folder",
                     in_quotes(tensor), in_quotes(shard)),
         "the index is damaged: get it again");
}

// The files of a sharded checkpoint hold what its index says they do.
void check_shards(const fs::path& index, const std::map<std::string, std::string>& shard_of,
                  const std::set<std::string>& shards) {
  std::map<std::string, TensorMap> held;
  for (const std::string& shard : shards)
    held[shard] = read_safetensors(index.parent_path() / shard).tensors;
  for (const auto& [tensor, shard] : shard_of) {
    if (held.at(shard).contains(tensor)) continue;
    refuse(index,
           fmt::format("puts tensor {} into {}, which does not hold it", in_quotes(tensor),
                       in_quotes(shard)),
           "index and shards do not belong together: get them again");
  }
}

WeightsFile open_index(const fs::path& index) {
  const std::map<std::string, std::string> shard_of = read_weight_map(index);
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : shard_of) {
    if (!is_file(index.parent_path() / shard)) {
      refuse(index,
             fmt::format("puts tensor {} into {}, which is not there", in_quotes(tensor),
                         in_quotes(shard)),
             "the download is incomplete: get the missing file");
    }
    shards.insert(shard);
  }
  check_shards(index, shard_of, shards);
  std::vector<fs::path> paths;
  for (const std::string& shard : shards)
    paths.push_back(index.parent_path() / shard);
  if (paths.empty()) refuse(index, "names no tensor", "the index is damaged: get it again");
  return read_weights_files(paths);
}

// The index or file of `stem` in `folder`.
std::optional<fs::path> find_weights(const fs::path& folder, std::string_view stem) {
  for (const std::string& name : weights_names(stem)) {
    if (is_file(folder / name)) return folder / name;
  }
  return std::nullopt;
}

const MappedFile* mapping_of(const StoredTensor& tensor) {
  return static_cast<const MappedFile*>(tensor.owner.get());
}

constexpr std::string_view kConsolidated = "consolidated.safetensors";

// The only file of weights in a folder where none has a name that is expected.
std::optional<fs::path> only_weights_file(const fs::path& folder) {
  std::optional<fs::path> only;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (!is_weights_file(entry.path()) || !is_file(entry.path())) continue;
    if (only) return std::nullopt;
    only = entry.path();
  }
  return only;
}

// Takes `mark` and the digits behind it off the end of `text` and returns them without leading
// zeros; nothing: it does not end so.
std::optional<std::string> take_number(std::string_view& text, std::string_view mark) {
  const std::size_t at = text.rfind(mark);
  if (at == std::string_view::npos) return {};
  std::string_view digits = text.substr(at + mark.size());
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string_view::npos) return {};
  text = text.substr(0, at);
  digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size() - 1));
  return std::string(digits);
}

// "NAME-00002-of-00003" is the second of three files that only together are a part.
void require_no_shard(const fs::path& file) {
  const std::string name = file.stem().string();
  std::string_view rest = name;
  const auto count = take_number(rest, "-of-");
  const auto number = count ? take_number(rest, "-") : std::nullopt;
  if (!number || *count == "1") return;
  refuse(file, fmt::format("is shard {} of {} and nothing by itself", *number, *count),
         "give the folder that holds all of them and their index.json; shards of a GGUF file are "
         "joined by llama-gguf-split --merge");
}

fs::path weights_of(const fs::path& path, std::string_view stem) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) {
    if (!is_file(path)) refuse(path, "there is no such folder or file", "check the path");
    return path;
  }
  if (const std::optional<fs::path> found = find_weights(path, stem)) return *found;
  refuse(path, fmt::format("holds no {}.safetensors and no index of one", stem),
         "weights are read as safetensors, whole or sharded, also with .bf16 or .fp16 in the name; "
         "or give the file itself");
}

fs::path weights_of(const fs::path& path, PartKind part) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored) && !find_weights(path, weights_stem(name_of(part)))) {
    if (is_file(path / kConsolidated)) return path / kConsolidated;
    if (const std::optional<fs::path> only = only_weights_file(path)) return *only;
  }
  return weights_of(path, weights_stem(name_of(part)));
}

std::string words_for(PartKind part) {
  switch (part) {
    case PartKind::transformer:
      return "transformer";
    case PartKind::text_encoder:
      return "text encoder";
    case PartKind::vae:
      return "VAE";
  }
  return {};
}

[[noreturn]] void refuse_part(const fs::path& path, PartKind part, const TensorMap& tensors,
                              std::span<const FoundPart> found) {
  if (const std::optional<Stranger> stranger = find_stranger(tensors)) {
    refuse(path, fmt::format("is {}, not FLUX.2's {}", stranger->what, words_for(part)),
           std::string(stranger->hint));
  }
  if (!found.empty()) {
    const std::string other = words_for(found.front().naming->part);
    refuse(path, fmt::format("is a {}, not a {}", other, words_for(part)),
           "check which part is given where");
  }
  const std::string example = tensors.empty() ? "nothing" : in_quotes(tensors.begin()->first);
  refuse(path,
         fmt::format("is not recognised as a {} of FLUX.2 (it holds {}, ...)", words_for(part),
                     example),
         "known are the names of Diffusers, BFL, ComfyUI, transformers, Mistral and llama.cpp");
}

}  // namespace

std::string_view weights_stem(std::string_view part) {
  return part == name_of(PartKind::text_encoder) ? "model" : "diffusion_pytorch_model";
}

// Libraries disagree on where a variant stands in the name of an index.
std::vector<std::string> weights_names(std::string_view stem) {
  std::vector<std::string> names;
  for (const std::string_view variant : kVariants) {
    names.push_back(fmt::format("{}{}.safetensors.index.json", stem, variant));
    names.push_back(fmt::format("{}.safetensors.index{}.json", stem, variant));
    names.push_back(fmt::format("{}{}.safetensors", stem, variant));
  }
  return names;
}

// {"metadata": {...}, "weight_map": {"TENSOR": "SHARD.safetensors", ...}}
std::map<std::string, std::string> read_weight_map(const fs::path& index) {
  const ConfigFile config = ConfigFile::read(index);
  if (!config.has("weight_map")) {
    refuse(index, "has no \"weight_map\"", "this is not the index of a sharded checkpoint");
  }
  const ConfigFile weight_map = config.section("weight_map");
  std::map<std::string, std::string> shard_of;
  for (const std::string& tensor : weight_map.keys()) {
    const std::string shard = weight_map.text(tensor);
    require_plain_name(index, tensor, shard);
    shard_of.emplace(tensor, shard);
  }
  return shard_of;
}

// What was read of a checkpoint's files before it is known what they are.
struct Checkpoint::Files {
  fs::path path;  // as it was asked for
  WeightsFile content;
  ModelFacts facts;

  static Files read(const fs::path& path, const fs::path& weights) {
    if (weights.extension() == ".json") return {path, open_index(weights), {}};
    require_no_shard(weights);
    WeightsFile content = read_weights_file(weights);
    const ModelFacts facts = content.format == WeightsFormat::gguf
                                 ? read_gguf_facts(content.metadata)
                                 : read_mistral_params(weights.parent_path());
    return {path, std::move(content), facts};
  }
};

Checkpoint::Checkpoint(const Files& files, const FoundPart& part, std::span<const FoundPart> found)
    : path_(files.path),
      part_(part),
      facts_(files.facts),
      metadata_(files.content.metadata),
      companions_(files.content.companions),
      notes_(files.content.notes) {
  std::erase_if(companions_,
                [&](const auto& item) { return !item.first.starts_with(part.prefix); });
  const TensorMap& tensors = files.content.tensors;
  if (part.naming == nullptr) {
    canonical_.tensors = tensors;
    return;
  }
  canonical_ = canonical_tensors(part, found, tensors, facts_.heads(), files.path.string());
}

Checkpoint Checkpoint::open(const fs::path& folder, std::string_view stem) {
  const Files files = Files::read(folder, weights_of(folder, stem));
  const std::vector<FoundPart> found = find_parts(files.content.tensors);
  return Checkpoint(files, found.size() == 1 ? found.front() : FoundPart{}, found);
}

Checkpoint Checkpoint::open(const fs::path& path, PartKind part) {
  const Files files = Files::read(path, weights_of(path, part));
  const std::vector<FoundPart> found = find_parts(files.content.tensors);
  const auto own = std::find_if(found.begin(), found.end(), [&](const FoundPart& candidate) {
    return candidate.naming->part == part;
  });
  if (own == found.end() || find_stranger(files.content.tensors)) {
    refuse_part(path, part, files.content.tensors, found);
  }
  return Checkpoint(files, *own, found);
}

std::vector<PartKind> parts_in_file(const fs::path& file) {
  const TensorMap tensors = read_weights_file(file).tensors;
  std::vector<PartKind> parts;
  if (find_stranger(tensors)) return parts;
  for (const FoundPart& part : find_parts(tensors))
    parts.push_back(part.naming->part);
  return parts;
}

bool is_weights_file(const fs::path& file) {
  return file.extension() == kEnding || file.extension() == ".gguf";
}

const StoredTensor* Checkpoint::find(const std::string& name) const {
  const auto found = canonical_.tensors.find(name);
  return found == canonical_.tensors.end() ? nullptr : &found->second;
}

const StoredTensor* Checkpoint::aside(const std::string& name) const {
  const auto found = canonical_.aside.find(name);
  return found == canonical_.aside.end() ? nullptr : &found->second;
}

std::size_t Checkpoint::bytes() const {
  std::size_t total = 0;
  for (const auto& [name, tensor] : tensors())
    total += tensor.bytes.size();
  return total;
}

void require_complete(const StoredTensor& tensor) {
  if (const MappedFile* file = mapping_of(tensor)) file->require_complete();
}

void prefetch(const StoredTensor& tensor) {
  if (const MappedFile* file = mapping_of(tensor)) file->will_need(tensor.bytes);
}

void drop_pages(const StoredTensor& tensor) {
  if (const MappedFile* file = mapping_of(tensor)) file->drop(tensor.bytes);
}

}  // namespace flux2
