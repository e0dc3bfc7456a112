#include "checkpoint/checkpoint.h"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <set>
#include <utility>

#include "base/mapped_file.h"
#include "checkpoint/config_file.h"
#include "checkpoint/in_quotes.h"
#include "checkpoint/safetensors.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEnding = ".safetensors";
// Where weights lie in several precisions side by side, in the order of preference.
constexpr std::array<std::string_view, 3> kVariants = {"", ".bf16", ".fp16"};

using Tensors = std::map<std::string, StoredTensor>;

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

void merge_shard(Tensors& all, const fs::path& folder, const std::string& shard) {
  SafetensorsFile file = read_safetensors(folder / shard);
  for (auto& [name, tensor] : file.tensors) {
    const auto [place, fresh] = all.try_emplace(name, std::move(tensor));
    if (fresh) continue;
    refuse(folder / shard,
           fmt::format("tensor {} is also in {}", in_quotes(name), place->second.file),
           "the shards do not belong together: get them again");
  }
}

Tensors open_index(const fs::path& index) {
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
  Tensors tensors;
  for (const std::string& shard : shards)
    merge_shard(tensors, index.parent_path(), shard);
  for (const auto& [tensor, shard] : shard_of) {
    const auto found = tensors.find(tensor);
    if (found != tensors.end() && fs::path(found->second.file).filename() == shard) continue;
    refuse(index,
           fmt::format("puts tensor {} into {}, which does not hold it", in_quotes(tensor),
                       in_quotes(shard)),
           "index and shards do not belong together: get them again");
  }
  return tensors;
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

}  // namespace

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

Checkpoint Checkpoint::open(const fs::path& folder, std::string_view stem) {
  Checkpoint checkpoint;
  checkpoint.path_ = folder;
  fs::path weights = folder;
  std::error_code ignored;
  if (fs::is_directory(folder, ignored)) {
    const std::optional<fs::path> found = find_weights(folder, stem);
    if (!found) {
      refuse(folder, fmt::format("holds no {}.safetensors and no index of one", stem),
             "weights are read in Diffusers layout, as safetensors, whole or sharded, also with "
             ".bf16 or .fp16 in the name");
    }
    weights = *found;
  } else if (!is_file(folder)) {
    refuse(folder, "there is no such folder or file", "check the path");
  }
  if (weights.extension() == ".json") {
    checkpoint.tensors_ = open_index(weights);
  } else {
    checkpoint.tensors_ = read_safetensors(weights).tensors;
  }
  return checkpoint;
}

const StoredTensor* Checkpoint::find(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

std::size_t Checkpoint::bytes() const {
  std::size_t total = 0;
  for (const auto& [name, tensor] : tensors_)
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
