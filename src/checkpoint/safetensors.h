#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "tensor/tensor.h"
#include "tensor/weight.h"

namespace flux2 {

/// A mapped safetensors file.
struct SafetensorsFile {
  std::map<std::string, StoredTensor> tensors;
  std::map<std::string, std::string> metadata;
};

/// Maps `path` and checks its header against it.
/// @throws Error bad_file, naming the file and, where there is one, the tensor: shorter than its
///         header says; a header over 100 MB, not JSON, with an entry twice or of the wrong form;
///         an unknown dtype; a negative or overflowing shape; offsets that are reversed, overlap,
///         leave a hole, leave the file or do not match dtype and shape
SafetensorsFile read_safetensors(const std::filesystem::path& path);

/// The same for a file that is in memory already; the tensors are views of `bytes`.
/// @param owner  keeps `bytes` alive; nullptr where the caller does
/// @param file   for errors
SafetensorsFile parse_safetensors(std::span<const std::byte> bytes,
                                  const std::shared_ptr<const MappedFile>& owner,
                                  const std::string& file);

/// Writes dense host tensors, in name order, through an AtomicFile.
/// @throws Error bad_file: cannot be written
void write_safetensors(const std::filesystem::path& path,
                       const std::map<std::string, Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

/// The elements of a stored tensor of floating type as a dense f32 host tensor.
/// @throws Error out_of_memory
Tensor to_host_tensor(const StoredTensor& tensor);

/// The one tensor `name` of a safetensors file as f32 on the host (--latents, --prompt-embeds).
/// @throws Error bad_file: no such tensor (the error lists what there is), not of a floating
///         type, NaN or infinity in it
Tensor read_host_tensor(const std::filesystem::path& path, const std::string& name);

}  // namespace flux2
