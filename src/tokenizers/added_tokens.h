#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizers/normalizer.h"

namespace flux2 {

/// A token that is looked for in the text itself, before anything else happens to it.
struct AddedToken {
  std::string content;
  std::int32_t id = 0;
  bool single_word = false;  ///< only where no word character touches it
  bool lstrip = false;       ///< takes the white space before it along
  bool rstrip = false;       ///< takes the white space behind it along
  bool normalized = false;   ///< looked for in the normalised text
  bool special = false;      ///< left out by decode() where asked
};

/// A stretch of text: one added token, or ordinary text between them.
struct TextSegment {
  std::optional<std::int32_t> id;
  std::string_view text;
};

/// Finds added tokens in a text as Hugging Face does: from left to right, the longest at each
/// place; first the ones with `normalized` false in the raw text, then the others in what is left,
/// after normalisation.
class AddedTokens {
 public:
  AddedTokens() = default;

  /// Tokens with empty content are left out. Where a content appears twice the first one counts.
  /// @param where  the file, for messages
  /// @throws Error bad_file: a content is too long
  AddedTokens(std::vector<AddedToken> tokens, const Normalizer& normalizer,
              const std::string& where);

  std::vector<TextSegment> split_raw(std::string_view text) const { return raw_.split(text); }
  std::vector<TextSegment> split_normalized(std::string_view text) const {
    return normalized_.split(text);
  }

  const std::vector<AddedToken>& all() const { return tokens_; }

 private:
  /// The tokens of one of the two passes, by their first byte and length.
  class Matcher {
   public:
    void add(std::string content, const AddedToken& token);
    std::vector<TextSegment> split(std::string_view text) const;

   private:
    const AddedToken* longest_at(std::string_view text, std::size_t position,
                                 std::size_t& length) const;

    std::unordered_map<std::string, AddedToken> tokens_;
    std::array<std::vector<std::size_t>, 256> lengths_;  ///< by first byte, longest first
  };

  std::vector<AddedToken> tokens_;
  Matcher raw_;
  Matcher normalized_;
};

}  // namespace flux2
