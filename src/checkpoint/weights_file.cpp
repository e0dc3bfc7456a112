#include "checkpoint/weights_file.h"

#include <fmt/format.h>

#include <cassert>
#include <memory>
#include <set>
#include <utility>

#include "base/mapped_file.h"
#include "checkpoint/companions/companions.h"
#include "checkpoint/container.h"
#include "checkpoint/gguf.h"
#include "checkpoint/in_quotes.h"
#include "checkpoint/safetensors.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

// One file as its container has it.
WeightsFile parse_container(std::span<const std::byte> bytes,
                            const std::shared_ptr<const MappedFile>& owner,
                            const std::string& name) {
  WeightsFile result;
  result.format = recognise_container(bytes, name);
  if (result.format == WeightsFormat::gguf) {
    GgufFile file = parse_gguf(bytes, owner, name);
    result.tensors = std::move(file.tensors);
    result.metadata = std::move(file.metadata);
    return result;
  }
  SafetensorsFile file = parse_safetensors(bytes, owner, name);
  result.tensors = std::move(file.tensors);
  std::map<std::string, Metadata::Value, std::less<>> texts;
  for (auto& [key, text] : file.metadata)
    texts.emplace(key, std::move(text));
  result.metadata = Metadata(std::move(texts));
  return result;
}

WeightsFile read_container(const fs::path& path) {
  const auto mapped = std::make_shared<const MappedFile>(path);
  return parse_container(mapped->bytes(), mapped, path.string());
}

void fold(WeightsFile& file) {
  if (file.format == WeightsFormat::gguf) return;  // whose blocks carry their scales
  file.companions = file.tensors;
  file.notes = fold_companions(file.tensors, file.metadata);
  std::set<const std::byte*> kept;  // by their bytes: some get another name
  for (const auto& [name, tensor] : file.tensors)
    kept.insert(tensor.bytes.data());
  std::erase_if(file.companions,
                [&](const auto& item) { return kept.contains(item.second.bytes.data()); });
}

}  // namespace

std::string_view name_of(WeightsFormat format) {
  return format == WeightsFormat::gguf ? "GGUF" : "safetensors";
}

WeightsFile read_weights_files(std::span<const fs::path> paths) {
  assert(!paths.empty());
  WeightsFile all = read_container(paths.front());
  for (const fs::path& path : paths.subspan(1)) {
    WeightsFile file = read_container(path);
    if (file.format != all.format) {
      throw Error(ErrorCode::bad_file,
                  fmt::format("is {}, but {} beside it is {}", name_of(file.format),
                              paths.front().string(), name_of(all.format)),
                  path.string(), "the shards do not belong together: get them again");
    }
    for (auto& [name, tensor] : file.tensors) {
      const auto [place, fresh] = all.tensors.try_emplace(name, std::move(tensor));
      if (fresh) continue;
      throw Error(ErrorCode::bad_file,
                  fmt::format("tensor {} is also in {}", in_quotes(name), place->second.file),
                  path.string(), "the shards do not belong together: get them again");
    }
  }
  fold(all);
  return all;
}

WeightsFile parse_weights_file(std::span<const std::byte> bytes,
                               const std::shared_ptr<const MappedFile>& owner,
                               const std::string& file) {
  WeightsFile result = parse_container(bytes, owner, file);
  fold(result);
  return result;
}

WeightsFile read_weights_file(const fs::path& path) {
  return read_weights_files(std::span(&path, 1));
}

}  // namespace flux2
