#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "base/mapped_file.h"
#include "checkpoint/metadata.h"
#include "tensor/weight.h"

namespace flux2 {

/// A mapped GGUF file, version 2 or 3, little-endian. Shapes are in PyTorch's order: the last
/// dimension is the one that lies dense. A tensor that was reshaped to fit its blocks has the shape
/// that "comfy.gguf.orig_shape.NAME" gives.
struct GgufFile {
  std::map<std::string, StoredTensor> tensors;
  Metadata metadata;  ///< lists of lists are left out
};

/// @throws Error bad_file, naming the file and, where there is one, the tensor or key: truncated,
///         another version or byte order, counts or lengths beyond the file, an unknown value type,
///         a key or tensor twice, an alignment that is no power of two, a tensor type that is not
///         read (by its name), rows that are not whole blocks, an offset that is unaligned, leaves
///         the file or lies inside another tensor
GgufFile read_gguf(const std::filesystem::path& path);

/// The same for a file that is in memory already; the tensors are views of `bytes`.
/// @param owner  keeps `bytes` alive; nullptr where the caller does
/// @param file   for errors
GgufFile parse_gguf(std::span<const std::byte> bytes,
                    const std::shared_ptr<const MappedFile>& owner, const std::string& file);

}  // namespace flux2
