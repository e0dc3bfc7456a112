#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace flux2 {

/// Tokens and their ids. Tokens are in the byte-level spelling of byte_level.h.
class Vocabulary {
 public:
  /// Ids lie below this: no vocabulary is near it, and an absurd id in a file must not decide how
  /// much memory is taken.
  static constexpr std::int32_t kIdLimit = 1 << 22;

  Vocabulary() = default;
  Vocabulary(Vocabulary&&) noexcept = default;
  Vocabulary& operator=(Vocabulary&&) noexcept = default;

  /// @param where  the file, for messages
  /// @throws Error bad_file: id negative or too large, token or id already there with another
  /// partner
  void add(std::string_view spelling, std::int32_t id, const std::string& where);

  std::optional<std::int32_t> find(std::string_view spelling) const;

  /// The token's spelling; nullptr where no token has this id.
  const std::string* spelling(std::int32_t id) const;

  std::size_t size() const { return ids_.size(); }

 private:
  std::unordered_map<std::string, std::int32_t> ids_;
  std::vector<const std::string*> spellings_;  ///< by id; keys of `ids_`, which stay where they are
};

}  // namespace flux2
