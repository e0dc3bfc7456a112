#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizers/added_tokens.h"

namespace flux2 {

/// An end of a sequence of tokens.
enum class Side { left, right };

/// What a tokenizer_config.json says beside the tokenizer itself. Absent entries are unset: their
/// default depends on the model family.
struct TokenizerSettings {
  std::optional<std::string> pad_token = {};
  std::optional<Side> padding_side = {};
  std::optional<Side> truncation_side = {};  ///< where a text that is too long loses its tokens
  std::optional<std::string> chat_template = {};  ///< Jinja source
  std::vector<AddedToken> added_tokens = {};      ///< added_tokens_decoder
};

/// @param bytes  a tokenizer_config.json
/// @param where  the file, for messages
/// @throws Error bad_file
TokenizerSettings parse_tokenizer_config(std::string_view bytes, const std::string& where);

}  // namespace flux2
