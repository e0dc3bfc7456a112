#include "tokenizers/json_access.h"

#include <fmt/format.h>

#include <limits>

#include "flux2/error.h"
#include "tokenizers/vocabulary.h"

namespace flux2 {
namespace {

[[noreturn]] void fail(std::string message, const std::string& where) {
  throw Error(ErrorCode::bad_file, std::move(message), where);
}

}  // namespace

Json parse_json(std::string_view bytes, const std::string& where) {
  try {
    return Json::parse(bytes);
  } catch (const Json::parse_error& error) {
    throw Error(ErrorCode::bad_file, fmt::format("no valid JSON at byte {}", error.byte), where,
                "fetch the file again");
  }
}

const Json* find_entry(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

const Json& require_entry(const Json& object, std::string_view key, const std::string& where) {
  const Json* entry = find_entry(object, key);
  if (entry == nullptr) fail(fmt::format("'{}' is missing", key), where);
  return *entry;
}

const Json& require_array(const Json& object, std::string_view key, const std::string& where) {
  const Json& entry = require_entry(object, key, where);
  if (!entry.is_array()) fail(fmt::format("'{}' is no array", key), where);
  return entry;
}

const Json& require_object(const Json& object, std::string_view key, const std::string& where) {
  const Json& entry = require_entry(object, key, where);
  if (!entry.is_object()) fail(fmt::format("'{}' is no object", key), where);
  return entry;
}

std::string require_string(const Json& object, std::string_view key, const std::string& where) {
  const Json& entry = require_entry(object, key, where);
  if (!entry.is_string()) fail(fmt::format("'{}' is no string", key), where);
  return entry.get<std::string>();
}

std::int64_t to_integer(const Json& value, std::string_view what, const std::string& where) {
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (!value.is_number_integer() ||
      (value.is_number_unsigned() && value.get<std::uint64_t>() > kMax)) {
    fail(fmt::format("'{}' is no integer of 64 bits", what), where);
  }
  return value.get<std::int64_t>();
}

std::int32_t to_token_id(const Json& value, std::string_view what, const std::string& where) {
  const std::int64_t id = to_integer(value, what, where);
  if (id < 0 || id >= Vocabulary::kIdLimit) {
    fail(fmt::format("'{}' is {}; the ids of tokens lie between 0 and {}", what, id,
                     Vocabulary::kIdLimit - 1),
         where);
  }
  return static_cast<std::int32_t>(id);
}

std::int64_t require_integer(const Json& object, std::string_view key, const std::string& where) {
  return to_integer(require_entry(object, key, where), key, where);
}

bool flag_or(const Json& object, std::string_view key, bool otherwise, const std::string& where) {
  const Json* entry = find_entry(object, key);
  if (entry == nullptr) return otherwise;
  if (!entry->is_boolean()) fail(fmt::format("'{}' is neither true nor false", key), where);
  return entry->get<bool>();
}

std::optional<std::string> find_string(const Json& object, std::string_view key,
                                       const std::string& where) {
  if (find_entry(object, key) == nullptr) return std::nullopt;
  return require_string(object, key, where);
}

AddedToken parse_added_token(const Json& entry, const std::string& where) {
  AddedToken token;
  token.content = require_string(entry, "content", where);
  token.single_word = flag_or(entry, "single_word", false, where);
  token.lstrip = flag_or(entry, "lstrip", false, where);
  token.rstrip = flag_or(entry, "rstrip", false, where);
  token.special = flag_or(entry, "special", false, where);
  token.normalized = flag_or(entry, "normalized", !token.special, where);
  return token;
}

Side parse_side(std::string_view text, std::string_view key, const std::string& where) {
  if (text == "left" || text == "Left") return Side::left;
  if (text == "right" || text == "Right") return Side::right;
  fail(fmt::format("'{}' is '{}', neither left nor right", key, text), where);
}

}  // namespace flux2
