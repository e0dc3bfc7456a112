#pragma once

#include <optional>
#include <string>

#include "checkpoint/checkpoint.h"

namespace flux2 {

/// Where a checkpoint keeps a language model. Writers of checkpoints have nested it in several
/// ways; below these prefixes the names are the same everywhere.
struct LanguageNames {
  std::string decoder;  ///< before "embed_tokens.weight" and "layers.0."
  std::string outer;    ///< before "vision_tower." and "multi_modal_projector."
  std::string head;     ///< name of the output matrix
  bool has_head = false;
};

/// Recognises the nesting by the embedding table.
/// @throws Error bad_file: none of the known spellings is there
LanguageNames find_language_names(const Checkpoint& checkpoint);

}  // namespace flux2
