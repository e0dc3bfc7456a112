#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <tuple>
#include <unordered_map>

#include "flux2/error.h"
#include "tokenizers/byte_level.h"
#include "tokenizers/json_access.h"
#include "tokenizers/merge_list.h"
#include "tokenizers/tokenizer_parts.h"

namespace flux2 {
namespace {

// The special tokens of files from before they were written into the file (mistral-common).
constexpr std::array<std::string_view, 20> kEarlySpecialTokens{"<unk>",
                                                               "<s>",
                                                               "</s>",
                                                               "[INST]",
                                                               "[/INST]",
                                                               "[AVAILABLE_TOOLS]",
                                                               "[/AVAILABLE_TOOLS]",
                                                               "[TOOL_RESULTS]",
                                                               "[/TOOL_RESULTS]",
                                                               "[TOOL_CALLS]",
                                                               "[IMG]",
                                                               "<pad>",
                                                               "[IMG_BREAK]",
                                                               "[IMG_END]",
                                                               "[PREFIX]",
                                                               "[MIDDLE]",
                                                               "[SUFFIX]",
                                                               "[SYSTEM_PROMPT]",
                                                               "[/SYSTEM_PROMPT]",
                                                               "[TOOL_CONTENT]"};

// The longest token of published files has 128 bytes. Looking for its merges takes time quadratic
// in its length.
constexpr std::size_t kMaxTokenBytes = 4096;

[[noreturn]] void fail(std::string message, const std::string& where) {
  throw Error(ErrorCode::bad_file, std::move(message), where);
}

int base64_value(char character) {
  if (character >= 'A' && character <= 'Z') return character - 'A';
  if (character >= 'a' && character <= 'z') return character - 'a' + 26;
  if (character >= '0' && character <= '9') return character - '0' + 52;
  return character == '+' ? 62 : character == '/' ? 63 : -1;
}

/// RFC 4648, section 4.
std::string decode_base64(std::string_view text, std::int64_t rank, const std::string& where) {
  const bool whole = text.size() % 4 == 0;
  while (whole && text.ends_with('='))
    text.remove_suffix(1);
  std::string bytes;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char character : text) {
    const int value = base64_value(character);
    if (value < 0 || !whole) fail(fmt::format("the bytes of rank {} are no base64", rank), where);
    bits = (bits << 6) | static_cast<std::uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes.push_back(static_cast<char>((bits >> count) & 0xFFU));
  }
  return bytes;
}

std::int64_t count_in(const Json& config, std::string_view key, std::int64_t otherwise,
                      const std::string& where) {
  if (find_entry(config, key) == nullptr) return otherwise;
  const std::int64_t count = require_integer(config, key, where);
  if (count < 0 || count > Vocabulary::kIdLimit) {
    fail(fmt::format("'{}' is {}, which is no size of a vocabulary", key, count), where);
  }
  return count;
}

/// Ids 0 .. count-1: the file's special tokens in the order of their ranks, then <SPECIAL_n>.
std::vector<AddedToken> parse_special_tokens(const Json& file, const Json& config,
                                             const std::string& where) {
  std::vector<std::string> names;
  if (find_entry(file, "special_tokens") == nullptr) {
    names.assign(kEarlySpecialTokens.begin(), kEarlySpecialTokens.end());
  } else {
    const Json& list = require_array(file, "special_tokens", where);
    names.resize(list.size());
    for (const Json& entry : list) {
      const std::int64_t rank = require_integer(entry, "rank", where);
      if (rank < 0 || static_cast<std::size_t>(rank) >= names.size() ||
          !names[static_cast<std::size_t>(rank)].empty()) {
        fail(fmt::format("special_tokens: rank {} is twice there or leaves a gap", rank), where);
      }
      names[static_cast<std::size_t>(rank)] = require_string(entry, "token_str", where);
    }
  }
  const auto named = static_cast<std::int64_t>(names.size());
  const std::int64_t count = count_in(config, "default_num_special_tokens", named, where);
  if (count < named) {
    fail(fmt::format("{} special tokens do not fit into the {} ids for them", named, count), where);
  }
  for (std::int64_t id = named; id < count; ++id)
    names.push_back(fmt::format("<SPECIAL_{}>", id));

  std::vector<AddedToken> tokens;
  for (std::string& name : names) {
    tokens.push_back({.content = std::move(name),
                      .id = static_cast<std::int32_t>(tokens.size()),
                      .special = true});
  }
  return tokens;
}

/// The tokens' bytes by rank, without those that pad the file beyond the vocabulary's size.
std::vector<std::string> parse_ranks(const Json& file, const Json& config, std::int64_t specials,
                                     const std::string& where) {
  const Json& list = require_array(file, "vocab", where);
  const auto listed = static_cast<std::int64_t>(list.size());
  const std::int64_t size = count_in(config, "default_vocab_size", specials + listed, where);
  std::vector<std::string> tokens;
  for (const Json& entry : list) {
    const auto rank = static_cast<std::int64_t>(tokens.size());
    if (rank + specials >= size) break;
    if (require_integer(entry, "rank", where) != rank) {
      fail(fmt::format("vocab: entry {} has another rank", rank), where);
    }
    tokens.push_back(decode_base64(require_string(entry, "token_bytes", where), rank, where));
    if (tokens.back().empty() || tokens.back().size() > kMaxTokenBytes) {
      fail(fmt::format("vocab: the token of rank {} has {} bytes (1 to {})", rank,
                       tokens.back().size(), kMaxTokenBytes),
           where);
    }
  }
  return tokens;
}

/// The file ranks tokens and lists no merges: every cut of a token into two tokens is one, in the
/// order of the token's, then the left, then the right one's rank (transformers' MistralConverter).
std::vector<Merge> derive_merges(const std::vector<std::string>& tokens, std::int32_t first_id) {
  std::unordered_map<std::string_view, std::int32_t> ids;
  ids.reserve(tokens.size());
  std::int32_t id = first_id;
  for (const std::string& token : tokens)
    ids.emplace(token, id++);
  std::vector<Merge> merges;
  for (const std::string_view token : tokens) {
    const std::int32_t merged = ids.at(token);
    const auto begin = static_cast<std::ptrdiff_t>(merges.size());
    for (std::size_t cut = 1; cut < token.size(); ++cut) {
      const auto left = ids.find(token.substr(0, cut));
      if (left == ids.end()) continue;
      const auto right = ids.find(token.substr(cut));
      if (right != ids.end()) merges.push_back({left->second, right->second, merged});
    }
    std::sort(merges.begin() + begin, merges.end(), [](const Merge& a, const Merge& b) {
      return std::tie(a.left, a.right) < std::tie(b.left, b.right);
    });
  }
  return merges;
}

}  // namespace

Tokenizer::Parts parse_tekken_json(const Json& file, const std::string& where,
                                   const TokenizerSettings& settings) {
  const Json& config = require_object(file, "config", where);
  Tokenizer::Parts parts;
  parts.name = where;
  parts.settings = settings;

  std::vector<PreTokenizer::Stage> stages;
  stages.emplace_back(
      SplitStage{.pattern = Regex(require_string(config, "pattern", where), where)});
  parts.pre_tokenizer = PreTokenizer(std::move(stages));

  std::vector<AddedToken> special = parse_special_tokens(file, config, where);
  const auto first_id = static_cast<std::int32_t>(special.size());
  const std::vector<std::string> tokens = parse_ranks(file, config, first_id, where);
  std::int32_t id = first_id;
  for (const std::string& token : tokens)
    parts.vocabulary.add(spell_bytes(token), id++, where);
  parts.bpe =
      Bpe(parts.vocabulary, derive_merges(tokens, first_id), {.whole_piece = WholePiece::look_up});
  for (const AddedToken& token : special)
    parts.vocabulary.add(token.content, token.id, where);
  set_added_tokens(std::move(special), parts);
  return parts;
}

}  // namespace flux2
