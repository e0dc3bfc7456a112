#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "models/language/decoder.h"

namespace flux2 {

/// All that the embeddings of a prompt depend on, its tokens left out.
struct PromptKeyParts {
  std::string_view text_encoder;  ///< Parts::text_encoder_fingerprint
  std::string_view change;        ///< PartChange::key of its adapters; empty: none
  std::string_view backend;       ///< kind, compute type and instruction set
  int threads = 1;                ///< sums are split by it
  std::span<const std::int64_t> taps;
};

/// A digest of them, of text `index` of `batch` (which decoders work on by itself, so that its
/// neighbours do not matter) and of this library's version: 64 hexadecimal digits.
std::string prompt_key(const PromptKeyParts& parts, const TokenBatch& batch, std::int64_t index);

}  // namespace flux2
