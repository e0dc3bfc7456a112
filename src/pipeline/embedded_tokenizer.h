#pragma once

#include <optional>

#include "checkpoint/checkpoint.h"
#include "tokenizers/tokenizer.h"

namespace flux2 {

/// The tokenizer that a text encoder's file carries: the bytes of a tekken.json as a tensor
/// (ComfyUI), or GGUF's lists. None where it carries none.
/// @throws Error bad_file: damaged, or of a kind that is not supported
std::optional<Tokenizer> embedded_tokenizer(const Checkpoint& text_encoder);

}  // namespace flux2
