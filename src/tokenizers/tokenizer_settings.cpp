#include "tokenizers/tokenizer_settings.h"

#include <charconv>

#include <fmt/format.h>

#include "flux2/error.h"
#include "tokenizers/json_access.h"

namespace flux2 {
namespace {

/// A special token is written as its text or as an object with that text in `content`.
std::optional<std::string> find_token(const Json& config, std::string_view key,
                                      const std::string& where) {
  const Json* entry = find_entry(config, key);
  if (entry == nullptr) return std::nullopt;
  return entry->is_object() ? require_string(*entry, "content", where)
                            : require_string(config, key, where);
}

std::optional<Side> find_side(const Json& config, std::string_view key, const std::string& where) {
  const std::optional<std::string> text = find_string(config, key, where);
  return text ? std::optional(parse_side(*text, key, where)) : std::nullopt;
}

/// Keys of JSON objects are strings, also where they are ids.
std::int32_t id_of_key(const std::string& key, const std::string& where) {
  std::int32_t id = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
  if (error != std::errc() || end != key.data() + key.size() || id < 0) {
    throw Error(ErrorCode::bad_file,
                fmt::format("'added_tokens_decoder' has the key '{}', which is no id", key), where);
  }
  return id;
}

/// One template, or a list of named ones of which "default" is used.
std::optional<std::string> find_template(const Json& config, const std::string& where) {
  const Json* entry = find_entry(config, "chat_template");
  if (entry == nullptr) return std::nullopt;
  if (!entry->is_array()) return require_string(config, "chat_template", where);
  for (const Json& named : *entry) {
    if (require_string(named, "name", where) == "default") {
      return require_string(named, "template", where);
    }
  }
  return std::nullopt;
}

}  // namespace

TokenizerSettings parse_tokenizer_config(std::string_view bytes, const std::string& where) {
  const Json config = parse_json(bytes, where);
  if (!config.is_object()) throw Error(ErrorCode::bad_file, "holds no JSON object", where);
  TokenizerSettings settings{.pad_token = find_token(config, "pad_token", where),
                             .padding_side = find_side(config, "padding_side", where),
                             .truncation_side = find_side(config, "truncation_side", where),
                             .chat_template = find_template(config, where),
                             .added_tokens = {}};
  if (find_entry(config, "added_tokens_decoder") != nullptr) {
    for (const auto& [key, entry] : require_object(config, "added_tokens_decoder", where).items()) {
      AddedToken token = parse_added_token(entry, where);
      token.id = id_of_key(key, where);
      settings.added_tokens.push_back(std::move(token));
    }
  }
  return settings;
}

}  // namespace flux2
