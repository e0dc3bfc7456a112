#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizers/bpe.h"
#include "tokenizers/tokenizer_parts.h"
#include "tokenizers/vocabulary.h"

namespace flux2 {

/// Pairs of tokens in the byte-level spelling, in the order of their ranks.
using MergeList = std::vector<std::pair<std::string, std::string>>;

/// "a b". @param rank  for messages
std::pair<std::string, std::string> parse_merge_line(std::string_view line, std::size_t rank,
                                                     const std::string& where);

/// merges.txt: one pair a line, an optional "#version" line before them.
MergeList parse_merges_txt(std::string_view text, const std::string& where);

/// @throws Error bad_file: a merge names or makes a token that the vocabulary lacks
std::vector<Merge> resolve_merges(const MergeList& merges, const Vocabulary& vocabulary,
                                  const std::string& where);

/// Makes `tokens`, and those of parts.settings that are not among them, the added tokens of
/// `parts`.
void set_added_tokens(std::vector<AddedToken> tokens, Tokenizer::Parts& parts);

}  // namespace flux2
