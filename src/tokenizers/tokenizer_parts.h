#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizers/added_tokens.h"
#include "tokenizers/bpe.h"
#include "tokenizers/json_access.h"
#include "tokenizers/normalizer.h"
#include "tokenizers/pre_tokenizer.h"
#include "tokenizers/token_lists.h"
#include "tokenizers/tokenizer.h"
#include "tokenizers/vocabulary.h"

namespace flux2 {

/// What a tokenizer file says, checked: the stages that a text goes through, in their order.
struct Tokenizer::Parts {
  std::string name;  ///< the file, for messages
  Normalizer normalizer;
  AddedTokens added;
  PreTokenizer pre_tokenizer;
  Vocabulary vocabulary;        ///< what BPE knows
  Vocabulary added_vocabulary;  ///< the added tokens, whether or not BPE knows them too
  Bpe bpe;
  std::vector<std::int32_t> prefix;  ///< what the post-processor puts before a text,
  std::vector<std::int32_t> suffix;  ///< and behind it
  TokenizerSettings settings;
};

/// The readers of the file formats.
/// @param where     names the file in messages
/// @param settings  those of its added tokens that are not in the file join
/// @throws Error bad_file: damaged, or asks for something that is not supported
Tokenizer::Parts parse_tokenizer_json(const Json& file, const std::string& where,
                                      const TokenizerSettings& settings);
Tokenizer::Parts parse_tekken_json(const Json& file, const std::string& where,
                                   const TokenizerSettings& settings);
Tokenizer::Parts parse_vocab_and_merges(const Json& vocab, std::string_view merges,
                                        const std::string& where,
                                        const TokenizerSettings& settings);
Tokenizer::Parts parse_token_lists(const TokenLists& lists, const std::string& where);

/// The patterns that FLUX.2's tokenizers cut with, for files that do not carry them: Qwen2's, as
/// transformers' class Qwen2Tokenizer has it, and Mistral's, as tekken.json has it.
inline constexpr std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view kTekkenPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)"
    R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

}  // namespace flux2
