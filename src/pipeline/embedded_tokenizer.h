#pragma once

#include <optional>
#include <string>

#include "checkpoint/checkpoint.h"
#include "tokenizers/tokenizer.h"

namespace flux2 {

/// The tekken.json that a text encoder's file carries as a tensor of bytes (ComfyUI); none where it
/// carries none.
/// @throws Error bad_file: damaged
std::optional<std::string> embedded_tekken(const Checkpoint& text_encoder);

/// The tokenizer that a text encoder's file carries: the bytes of a tekken.json as a tensor
/// (ComfyUI), or GGUF's lists. None where it carries none.
/// @throws Error bad_file: damaged, or of a kind that is not supported
std::optional<Tokenizer> embedded_tokenizer(const Checkpoint& text_encoder);

}  // namespace flux2
