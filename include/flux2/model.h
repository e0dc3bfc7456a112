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

/// One part of a model on disk.
struct ModelPart {
  std::string name;                 ///< "transformer", "text_encoder", "vae", ...
  std::string class_name;           ///< "Flux2Transformer2DModel", ...
  std::int64_t tensors = 0;         ///< in all its files
  std::int64_t parameters = 0;      ///< elements of these tensors
  std::int64_t bytes = 0;           ///< as stored
  std::vector<std::string> dtypes;  ///< stored types, most bytes first: "BF16", "F32"
};

/// What a model folder holds and what it was taken for.
struct ModelInfo {
  std::string name;               ///< flux2.json's name, else the folder's
  std::filesystem::path path;     ///< the folder
  Family family = Family::klein;  ///< decides template, guidance and tapped layers
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

/// Reads model_index.json, the configs and the headers of the weights; no weight.
/// @throws Error bad_file: not a FLUX.2 model in Diffusers layout; says what it is instead
ModelInfo inspect_model(const std::filesystem::path& folder);

}  // namespace flux2
