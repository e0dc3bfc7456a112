#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tensor/weight.h"

namespace flux2 {

/// The tensors of one part of a model (transformer, text encoder, VAE), wherever its files are.
class Checkpoint {
 public:
  /// Opens `folder`, in this order: STEM.safetensors.index.json and its shards, STEM.safetensors,
  /// the same with ".bf16" or ".fp16" before ".safetensors". A path to a .safetensors file opens
  /// that file alone; a path to an index, its shards.
  /// @param stem  "diffusion_pytorch_model" (Diffusers) or "model" (transformers)
  /// @throws Error bad_file: nothing there; a header or offset that contradicts the file (see
  ///         read_safetensors); an index that names a missing shard or tensor, or a path outside
  ///         the folder; a tensor found twice
  static Checkpoint open(const std::filesystem::path& folder, std::string_view stem);

  Checkpoint() = default;
  /// Tensors that are there already.
  /// @param path  the file or whatever stands for one, for errors
  Checkpoint(std::filesystem::path path, std::map<std::string, StoredTensor> tensors)
      : path_(std::move(path)), tensors_(std::move(tensors)) {}

  /// The folder or file that was opened, for errors.
  const std::filesystem::path& path() const { return path_; }
  /// nullptr if there is no tensor of that name.
  const StoredTensor* find(const std::string& name) const;
  /// All tensors by name.
  const std::map<std::string, StoredTensor>& tensors() const { return tensors_; }
  /// Bytes of all tensors.
  std::size_t bytes() const;

 private:
  std::filesystem::path path_;
  std::map<std::string, StoredTensor> tensors_;
};

/// What `Checkpoint::open` looks for in a folder, best first: names of files and of indices.
std::vector<std::string> weights_names(std::string_view stem);
/// The weight map of STEM.safetensors.index.json: which shard holds each tensor.
/// @throws Error bad_file: no such map, or a shard that is not a plain name
std::map<std::string, std::string> read_weight_map(const std::filesystem::path& index);

/// @throws Error bad_file if the file of `tensor` has been cut since it was opened: reading what is
///         gone would end the process
void require_complete(const StoredTensor& tensor);
/// Asks the kernel to start reading the pages of `tensor`, which comes from a Checkpoint.
void prefetch(const StoredTensor& tensor);
/// Gives the pages of such a tensor back, once a backend has packed it. Reading it again is still
/// possible.
void drop_pages(const StoredTensor& tensor);

}  // namespace flux2
