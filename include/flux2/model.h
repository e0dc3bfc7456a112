#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "flux2/export.h"

namespace FLUX2_API flux2 {

/// The members of the FLUX.2 family, told apart by model_index.json.
enum class Family {
  dev,         ///< Flux2Pipeline: guidance is an input of the model
  klein,       ///< Flux2KleinPipeline, is_distilled: a few steps, no guidance
  klein_base,  ///< Flux2KleinPipeline: true classifier-free guidance
  klein_kv,    ///< Flux2KleinKVPipeline: references are computed once
};

/// "FLUX.2 [dev]", "FLUX.2 [klein]", ...
std::string to_string(Family family);

/// What a request takes where it says nothing.
struct ModelDefaults {
  int width = 1024;               ///< pixels
  int height = 1024;              ///< pixels
  int num_inference_steps = 50;   ///< evaluations of the transformer (twice with true guidance)
  double guidance_scale = 4.0;    ///< 1 or less: no true guidance
  int max_sequence_length = 512;  ///< text tokens
};

/// Where a model is, or where its parts are. Every member may be left out of a designated
/// initialiser.
struct ModelSource {
  /// A folder in Diffusers layout, a folder of single files (BFL's, ComfyUI's), a file that holds
  /// several parts, or "nano"; may be empty where `transformer`, `text_encoder` and `vae` are
  /// given.
  std::string model = {};
  /// A file or folder in place of the model's transformer. Empty: the model's.
  std::filesystem::path transformer = {};
  std::filesystem::path text_encoder = {};  ///< in place of the model's text encoder
  std::filesystem::path vae = {};           ///< in place of the model's VAE
  /// A tokenizer.json, a tekken.json or a folder with one. Empty: the model's, else one that the
  /// text encoder's file carries, else one beside it.
  std::filesystem::path tokenizer = {};
  /// Which member of the family the transformer is, where its files do not tell: the sizes of a
  /// single file are those of klein, klein base and klein KV alike.
  std::optional<Family> variant = {};
};

/// One part of a model on disk.
struct ModelPart {
  std::string name;                 ///< "transformer", "text_encoder", "vae", ...
  std::string class_name;           ///< "Flux2Transformer2DModel", ...
  std::filesystem::path path;       ///< its folder or file
  std::string names;                ///< family of its tensors' names: "Diffusers", "BFL", ...
  std::string sizes_from;           ///< what its sizes were taken from: "config.json", "shapes"
  std::int64_t tensors = 0;         ///< in all its files
  std::int64_t parameters = 0;      ///< elements of these tensors
  std::int64_t bytes = 0;           ///< as stored
  std::vector<std::string> dtypes;  ///< stored types, most bytes first: "BF16", "F32"
  /// What each of `dtypes` is computed in, in the same order: "bf16", "int8", "int8 and bf16";
  /// "f32" where no matrix has it, "not used" where nothing reads it. Of a loaded pipeline as it
  /// computes, else as it would on this machine where no type of computing is asked for.
  std::vector<std::string> computed_as;
  std::vector<std::string> notes;  ///< what its files say and nothing uses
};

/// What a model holds and what it was taken for.
struct ModelInfo {
  std::string name;               ///< flux2.json's name, else the folder's or file's
  std::filesystem::path path;     ///< the folder or file
  Family family = Family::klein;  ///< decides template, guidance and tapped layers
  std::string family_from;        ///< what `family` follows from: "model_index.json", ...
  std::string pipeline_class;     ///< "Flux2KleinPipeline", ...
  ModelDefaults defaults;         ///< flux2.json's, else the pipeline class's
  std::vector<ModelPart> parts;   ///< text encoder, transformer, VAE
};

/// The folder that MODEL of the command line means:
/// - "nano": the model that comes with the program (in $FLUX2_MODELS or its installation's
///   share/flux2/models); a folder that is called nano is "./nano"
/// - a path that exists: itself
/// - "org/name" or "org/name@revision": a repository of the Hugging Face Hub, in the cache; brought
///   there first if it is not complete (see pull(), which also reports progress)
/// - anything else: itself
/// @throws Error bad_file: no such folder; the message lists where it was looked for; what pull()
///         throws
std::filesystem::path find_model(const std::string& model);

/// A file of weights by itself.
struct ModelFile {
  std::filesystem::path path;    ///< the file
  std::vector<ModelPart> parts;  ///< what it holds, one part or several
};

/// Says what a single file of weights is.
/// @param file  safetensors or GGUF, whatever family of names it was written under
/// @throws Error bad_file: no part of FLUX.2; says what it is instead
ModelFile inspect_file(const std::filesystem::path& file);

/// Reads model_index.json, the configs and the headers of the weights; no weight.
/// @param path  a folder or file, as ModelSource::model
/// @throws Error bad_file: not a FLUX.2 model; says what it is instead
ModelInfo inspect_model(const std::filesystem::path& path);

/// The same for a model whose parts may lie in different places.
/// @throws Error bad_file: additionally, a part is missing, parts that do not fit each other, a
///         family that the files do not tell and `source.variant` does not say
ModelInfo inspect_model(const ModelSource& source);

}  // namespace flux2
