#include "tokenizers/merge_list.h"

#include <fmt/format.h>

#include <unordered_set>

#include "flux2/error.h"

namespace flux2 {

std::pair<std::string, std::string> parse_merge_line(std::string_view line, std::size_t rank,
                                                     const std::string& where) {
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) {
    throw Error(ErrorCode::bad_file,
                fmt::format("merge {}, '{}', is no pair of tokens", rank, line), where);
  }
  return {std::string(line.substr(0, space)), std::string(line.substr(space + 1))};
}

MergeList parse_merges_txt(std::string_view text, const std::string& where) {
  MergeList merges;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with("#version")) continue;
    merges.push_back(parse_merge_line(line, merges.size(), where));
  }
  return merges;
}

std::vector<Merge> resolve_merges(const MergeList& merges, const Vocabulary& vocabulary,
                                  const std::string& where) {
  std::vector<Merge> resolved;
  resolved.reserve(merges.size());
  for (const auto& merge : merges) {
    const auto& left = merge.first;
    const auto& right = merge.second;
    const auto id_of = [&](const std::string& token) {
      const std::optional<std::int32_t> id = vocabulary.find(token);
      if (!id) {
        throw Error(ErrorCode::bad_file,
                    fmt::format("merge {}, '{}' and '{}', needs the token '{}', which the "
                                "vocabulary lacks",
                                resolved.size(), left, right, token),
                    where);
      }
      return *id;
    };
    resolved.push_back({id_of(left), id_of(right), id_of(left + right)});
  }
  return resolved;
}

void set_added_tokens(std::vector<AddedToken> tokens, Tokenizer::Parts& parts) {
  std::unordered_set<std::string> known;
  for (const AddedToken& token : tokens)
    known.insert(token.content);
  for (const AddedToken& token : parts.settings.added_tokens) {
    if (known.insert(token.content).second) tokens.push_back(token);
  }
  for (const AddedToken& token : tokens) {
    const std::string* other = parts.vocabulary.spelling(token.id);
    const std::int32_t id = parts.vocabulary.find(token.content).value_or(token.id);
    if (id != token.id || (other != nullptr && *other != token.content)) {
      throw Error(ErrorCode::bad_file,
                  fmt::format("added token '{}' has the id {}, which contradicts the vocabulary",
                              token.content, token.id),
                  parts.name);
    }
    parts.added_vocabulary.add(token.content, token.id, parts.name);
  }
  parts.added = AddedTokens(std::move(tokens), parts.normalizer, parts.name);
}

}  // namespace flux2
