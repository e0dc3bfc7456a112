#pragma once

#include <cstdint>

#include "checkpoint/checkpoint.h"
#include "checkpoint/config_file.h"
#include "checkpoint/metadata.h"

namespace flux2 {

/// How a part is laid out in a GGUF file, as ComfyUI, stable-diffusion.cpp and llama.cpp read it.
struct GgufLayout {
  const Naming* naming = nullptr;  ///< of its tensors
  HeadDims heads;                  ///< by which rows of queries and keys are taken apart
  Metadata metadata;               ///< without the type of the file
};

/// @param part    the transformer or the text encoder
/// @param config  of the part
GgufLayout gguf_layout(PartKind part, const ConfigFile& config, const Checkpoint& weights);

/// Whether a GGUF file of that part leaves a tensor out: llama.cpp keeps a vision tower and its
/// projector in a file of their own.
bool is_left_out_of_gguf(PartKind part, const std::string& canonical);

}  // namespace flux2
