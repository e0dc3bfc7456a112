#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizers/token_lists.h"
#include "tokenizers/tokenizer_settings.h"

namespace flux2 {

/// Special tokens at the edges of a text: encode() can add what the file's post-processor asks for,
/// decode() can leave out every special token.
enum class SpecialTokens { keep_out, take_in };

/// How many special tokens the post-processor puts on each side of a text.
struct TextEdges {
  std::size_t before = 0;
  std::size_t behind = 0;
};

/// A byte-level BPE tokenizer, as Hugging Face's `tokenizers` runs it: added tokens are cut out of
/// the raw text, the rest is normalised, cut by a pattern and merged.
///
/// Immutable and cheap to copy; every member function may be called from several threads at once.
class Tokenizer {
 public:
  /// Reads the `tokenizer/` folder of a checkpoint: tokenizer.json, else vocab.json with
  /// merges.txt, else tekken.json; and tokenizer_config.json where it is there. Or a tokenizer.json
  /// or tekken.json by itself, with what lies beside it.
  /// @throws Error bad_file: nothing of that in the folder, damaged, or of an unsupported kind
  static Tokenizer load(const std::filesystem::path& path);

  /// From the bytes of a tokenizer.json or a tekken.json, told apart by their content.
  /// @param name      what messages call it
  /// @param settings  what the tokenizer_config.json beside it says
  /// @throws Error bad_file
  static Tokenizer from_json(std::string_view bytes, std::string name,
                             const TokenizerSettings& settings = {});

  /// From the bytes of a vocab.json and a merges.txt, with Qwen2's normaliser and pattern, which
  /// such folders leave to the class of the tokenizer.
  /// @throws Error bad_file
  static Tokenizer from_vocab_and_merges(std::string_view vocab, std::string_view merges,
                                         std::string name, const TokenizerSettings& settings = {});

  /// From the lists of a GGUF file. It has no tokenizer_config.json: sides and padding are the
  /// model family's.
  /// @throws Error bad_file: another kind of tokenizer, lists that contradict each other
  static Tokenizer from_token_lists(const TokenLists& lists, const std::string& name);

  /// @param text     UTF-8, shorter than 2^30 bytes
  /// @param special  take_in: with the post-processor's tokens, as `tokenizer(text)` does in Python
  /// @throws Error invalid_request: not UTF-8 (names the byte's offset), too long, or a byte
  /// without
  ///         a token. Hugging Face drops such a byte without a word; no published vocabulary has
  ///         one.
  std::vector<std::int32_t> encode(std::string_view text,
                                   SpecialTokens special = SpecialTokens::keep_out) const;

  /// What SpecialTokens::take_in adds to every text.
  TextEdges special_token_edges() const;

  /// @param ids  those that belong to no token are skipped, as in Hugging Face: an embedding table
  ///             may have more rows than there are tokens
  /// @returns UTF-8; ill-formed bytes are U+FFFD
  std::string decode(std::span<const std::int32_t> ids,
                     SpecialTokens special = SpecialTokens::take_in) const;

  /// @param token  in the spelling of the file
  std::optional<std::int32_t> token_to_id(std::string_view token) const;

  /// How many tokens there are, added ones included.
  std::size_t vocab_size() const;

  /// What tokenizer_config.json says; where it is silent, tokenizer.json's own padding section.
  const TokenizerSettings& settings() const;

  /// The file that it came from, for messages.
  const std::string& name() const;

  struct Parts;

 private:
  explicit Tokenizer(Parts parts);

  std::shared_ptr<const Parts> parts_;
};

}  // namespace flux2
