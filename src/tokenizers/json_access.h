#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "tokenizers/added_tokens.h"
#include "tokenizers/tokenizer_settings.h"

namespace flux2 {

using Json = nlohmann::json;

/// Checked access to a JSON file: each function throws Error bad_file with the entry's name.

Json parse_json(std::string_view bytes, const std::string& where);

/// nullptr where `key` is absent or null, or `object` is no object.
const Json* find_entry(const Json& object, std::string_view key);
const Json& require_entry(const Json& object, std::string_view key, const std::string& where);

const Json& require_array(const Json& object, std::string_view key, const std::string& where);
const Json& require_object(const Json& object, std::string_view key, const std::string& where);
std::string require_string(const Json& object, std::string_view key, const std::string& where);
std::int64_t require_integer(const Json& object, std::string_view key, const std::string& where);
bool flag_or(const Json& object, std::string_view key, bool otherwise, const std::string& where);
std::optional<std::string> find_string(const Json& object, std::string_view key,
                                       const std::string& where);

/// The value as an integer that fits; `what` names it in the message.
std::int64_t to_integer(const Json& value, std::string_view what, const std::string& where);

/// The value as the id of a token, 0 to Vocabulary::kIdLimit - 1.
std::int32_t to_token_id(const Json& value, std::string_view what, const std::string& where);

/// One entry of added_tokens or added_tokens_decoder, but for its id.
AddedToken parse_added_token(const Json& entry, const std::string& where);

/// "left" or "right" in either capitalisation.
Side parse_side(std::string_view text, std::string_view key, const std::string& where);

}  // namespace flux2
