#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "flux2/export.h"
#include "flux2/model.h"

namespace FLUX2_API flux2 {

/// What models are converted to.
enum class ConvertTarget {
  diffusers,  ///< a folder in Diffusers' layout
  bfl,        ///< one safetensors file in Black Forest Labs' names
  gguf,       ///< one GGUF file in the names of ComfyUI, stable-diffusion.cpp, llama.cpp
  int8,       ///< a folder in Diffusers' layout, its blocks in 8-bit integers: see quantize_model
};

/// What matrices are stored as.
enum class StoredAs {
  f32,   ///< 32-bit floats
  f16,   ///< IEEE halves
  bf16,  ///< bfloat16
  q8_0,  ///< GGUF: 8 bits, blocks of 32
  q6_k,  ///< GGUF: 6 bits, blocks of 256
  q5_k,  ///< GGUF: 5 bits, blocks of 256
  q4_k,  ///< GGUF: 4 bits, blocks of 256
  q4_0,  ///< GGUF: 4 bits, blocks of 32
};

/// How far converting is.
struct ConvertProgress {
  std::string part;        ///< "transformer", "text_encoder" or "vae"
  std::int64_t done = 0;   ///< bytes written of its weights
  std::int64_t total = 0;  ///< bytes
};

/// How a model is converted.
struct ConvertOptions {
  ConvertTarget to = ConvertTarget::diffusers;  ///< the layout
  /// What matrices become; none: safetensors keep the numbers exactly (what is quantised becomes
  /// bf16), GGUF takes q8_0. Which tensors it is for: docs/formats.md.
  std::optional<StoredAs> type = {};
  /// The part that becomes one file: "transformer", of bfl also "vae", of gguf also "text_encoder".
  /// Empty: the transformer, else the only part there is.
  std::string part = {};
  int threads = 0;                                            ///< 0: as many as may be used
  std::stop_token stop = {};                                  ///< ends it with Error cancelled
  std::function<void(const ConvertProgress&)> progress = {};  ///< called often
};

/// What was made.
struct ConvertResult {
  std::vector<std::string> parts;  ///< that were written
  std::int64_t tensors = 0;        ///< that were written
  std::int64_t quantized = 0;      ///< those of them that are blocks or integers with scales
  std::int64_t bytes_before = 0;   ///< of the weights
  std::int64_t bytes_after = 0;    ///< the same
};

/// Writes a model, or a part of one, in another layout or stored type, with memory for a few rows.
/// Tensors that keep their type keep their bits. `target` appears complete or not at all; whether
/// the disk has room is checked before anything is written.
///
/// A Diffusers folder gets configs, tokenizer, scheduler and model_index.json, copied or derived,
/// where the source has a transformer and a VAE; else it gets the parts there are.
/// @param source   as for Pipeline::load, but the parts need not be a whole model
/// @param target   a folder or file that must not exist yet
/// @param options  layout, type, part, threads, stop, progress
/// @throws Error invalid_request: a type or part that the layout does not have; bad_file: the
///         source cannot be read, `target` exists, the disk is full, a number that the type cannot
///         hold; cancelled
ConvertResult convert_model(const ModelSource& source, const std::filesystem::path& target,
                            const ConvertOptions& options = {});

}  // namespace flux2
