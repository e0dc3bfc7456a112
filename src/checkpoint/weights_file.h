#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "checkpoint/metadata.h"
#include "tensor/weight.h"

namespace flux2 {

/// The containers that weights come in.
enum class WeightsFormat { safetensors, gguf };
/// "safetensors", "GGUF"
std::string_view name_of(WeightsFormat format);

/// What one or more files hold, ready for a model: every tensor with the decoder that reads it.
/// Tensors that only say how another one is stored (scales, block maxima, code tables, markers) are
/// folded into that one's decoder and are not in the list.
struct WeightsFile {
  WeightsFormat format = WeightsFormat::safetensors;
  std::map<std::string, StoredTensor> tensors;
  Metadata metadata;  ///< of safetensors: texts; of several files: of the first
  /// What was folded into those decoders, as it lies in the file.
  std::map<std::string, StoredTensor> companions;
  std::vector<std::string> notes;  ///< for people: what was understood and is not used
};

/// Reads a weights file, recognised by its content and never by its ending.
/// @throws Error bad_file: what read_safetensors and read_gguf refuse; a file of another kind
///         (pickle, ZIP, HTML, Git LFS pointer, text), named; a storage type that is not supported,
///         named; companions that are missing, misshapen or not understood
WeightsFile read_weights_file(const std::filesystem::path& path);

/// The same for a file that is in memory already; the tensors are views of `bytes`.
/// @param owner  keeps `bytes` alive; nullptr where the caller does
/// @param file   for errors
WeightsFile parse_weights_file(std::span<const std::byte> bytes,
                               const std::shared_ptr<const MappedFile>& owner,
                               const std::string& file);

/// The same for the shards of one checkpoint, whose tensors may have their companions in another
/// shard.
/// @param paths  at least one, all of one format
/// @throws Error bad_file: additionally, a tensor that is in two of them
WeightsFile read_weights_files(std::span<const std::filesystem::path> paths);

}  // namespace flux2
