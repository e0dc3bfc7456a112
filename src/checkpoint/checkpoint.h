#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "checkpoint/metadata.h"
#include "checkpoint/model_facts.h"
#include "checkpoint/namings.h"
#include "tensor/weight.h"

namespace flux2 {

/// The tensors of one part of a model (transformer, text encoder, VAE), wherever its files are and
/// under whichever family of names they were written: here they have the names of Diffusers and
/// transformers. A tensor's own `name` stays the file's, for errors.
class Checkpoint {
 public:
  /// Opens `folder`, in this order: STEM.safetensors.index.json and its shards, STEM.safetensors,
  /// the same with ".bf16" or ".fp16" before ".safetensors". A path to a file opens that file
  /// alone; a path to an index, its shards.
  /// @param stem  "diffusion_pytorch_model" (Diffusers) or "model" (transformers)
  /// @throws Error bad_file: nothing there; a damaged file or one of another kind (see
  ///         read_weights_file); an index that names a missing shard or tensor, or a path outside
  ///         the folder; a tensor found twice
  static Checkpoint open(const std::filesystem::path& folder, std::string_view stem);

  /// Opens the `part` that `path` holds: a folder (as above, or with one file of weights in it), an
  /// index, or a file that may hold other parts too.
  /// @throws Error bad_file: as above; the file holds no such part (the message says what it is)
  static Checkpoint open(const std::filesystem::path& path, PartKind part);

  Checkpoint() = default;
  /// Tensors that are there already, under their canonical names.
  /// @param path  the file or whatever stands for one, for errors
  Checkpoint(std::filesystem::path path, TensorMap tensors)
      : path_(std::move(path)), canonical_{std::move(tensors), {}} {}

  /// The folder or file that was opened, for errors.
  const std::filesystem::path& path() const { return path_; }
  /// nullptr if there is no tensor of that canonical name.
  const StoredTensor* find(const std::string& name) const;
  /// All tensors by canonical name.
  const TensorMap& tensors() const { return canonical_.tensors; }
  /// What lies beside the weights under that name, or nullptr; see CanonicalTensors::aside.
  const StoredTensor* aside(const std::string& name) const;
  /// Bytes of all tensors.
  std::size_t bytes() const;

  /// The family of names that the files were written under; nullptr where none was recognised, and
  /// names were left as they are.
  const Naming* naming() const { return part_.naming; }
  /// What stood before every name.
  const std::string& prefix() const { return part_.prefix; }
  /// What the files call the tensor of that canonical name, whether they hold it or not.
  std::string stored_name(const std::string& name) const { return flux2::stored_name(part_, name); }
  /// What the files say beside their tensors.
  const ModelFacts& facts() const { return facts_; }
  /// The same as it is written: a tokenizer may be in it.
  const Metadata& metadata() const { return metadata_; }
  /// Tensors that only say how others are stored (scales, code tables, marks), by stored name;
  /// those of this part's prefix.
  const TensorMap& companions() const { return companions_; }
  /// For people: what was understood and is not used.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  struct Files;
  Checkpoint(const Files& files, const FoundPart& part, std::span<const FoundPart> found);

  std::filesystem::path path_;
  FoundPart part_;
  ModelFacts facts_;
  Metadata metadata_;
  TensorMap companions_;
  std::vector<std::string> notes_;
  CanonicalTensors canonical_;
};

/// What the weights of a part are called in its folder: "diffusion_pytorch_model", "model".
std::string_view weights_stem(std::string_view part);
/// What `Checkpoint::open` looks for in a folder, best first: names of files and of indices.
std::vector<std::string> weights_names(std::string_view stem);
/// The weight map of STEM.safetensors.index.json: which shard holds each tensor.
/// @throws Error bad_file: no such map, or a shard that is not a plain name
std::map<std::string, std::string> read_weight_map(const std::filesystem::path& index);
/// The parts that a file of weights holds, by the names of its tensors; none where it is no part of
/// FLUX.2.
/// @throws Error bad_file: see Checkpoint::open
std::vector<PartKind> parts_in_file(const std::filesystem::path& file);

/// Tells the content of a checkpoint from any other's without reading all of it, for keys of
/// caches: its tensors with a sample of each, and the identity of the files they lie in. A copy of
/// the files counts as another one.
std::string fingerprint(const Checkpoint& checkpoint);

/// Whether a name ends as files of weights do.
bool is_weights_file(const std::filesystem::path& file);

/// @throws Error bad_file if the file of `tensor` has been cut since it was opened: reading what is
///         gone would end the process
void require_complete(const StoredTensor& tensor);
/// Asks the kernel to start reading the pages of `tensor`, which comes from a Checkpoint. On a slow
/// disk that takes as long as most of the reading: see ReadAhead.
void prefetch(const StoredTensor& tensor);
/// Gives the pages of such a tensor back, once a backend has packed it. Reading it again is still
/// possible.
void drop_pages(const StoredTensor& tensor);

}  // namespace flux2
