#include "tokenizers/token_lists.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "flux2/error.h"
#include "tokenizers/merge_list.h"
#include "tokenizers/tokenizer_parts.h"

namespace flux2 {
namespace {

// llama.cpp names what comes before its BPE; here is what the names stand for.
struct PreTokenizerKind {
  std::string_view name;
  std::string_view pattern;
  bool composes;  // NFC first
  WholePiece whole_piece;
};
constexpr std::array kKinds = {
    PreTokenizerKind{"qwen2", kQwen2Pattern, true, WholePiece::merge},
    PreTokenizerKind{"tekken", kTekkenPattern, false, WholePiece::look_up}};

enum TokenType : std::int64_t {
  normal = 1,
  unknown = 2,
  control = 3,
  user_defined = 4,
  unused = 5
};

[[noreturn]] void refuse(std::string message, const std::string& where) {
  throw Error(ErrorCode::bad_file, std::move(message), where,
              "give the model's own tokenizer.json");
}

const PreTokenizerKind& kind_of(const TokenLists& lists, const std::string& where) {
  const auto kind = std::find_if(kKinds.begin(), kKinds.end(), [&](const PreTokenizerKind& known) {
    return known.name == lists.pre;
  });
  if (lists.model != "gpt2" || kind == kKinds.end()) {
    refuse(fmt::format("its tokenizer '{}' of kind '{}' is not supported, only gpt2 with qwen2 or "
                       "tekken is",
                       lists.model, lists.pre),
           where);
  }
  return *kind;
}

// Ordinary tokens become the vocabulary; the others are returned, to be looked for in the text.
std::vector<AddedToken> sort_tokens(const TokenLists& lists, const std::string& where,
                                    Vocabulary& vocabulary) {
  if (lists.types.size() != lists.tokens.size()) {
    refuse(fmt::format("its tokenizer has {} tokens and {} types of tokens", lists.tokens.size(),
                       lists.types.size()),
           where);
  }
  std::vector<AddedToken> added;
  for (std::size_t i = 0; i < lists.tokens.size(); ++i) {
    const auto id = static_cast<std::int32_t>(
        std::min<std::size_t>(i, static_cast<std::size_t>(Vocabulary::kIdLimit)));
    switch (lists.types[i]) {
      case normal:
        vocabulary.add(lists.tokens[i], id, where);
        break;
      case unknown:
      case control:
      case user_defined:
        added.push_back(
            {.content = lists.tokens[i], .id = id, .special = lists.types[i] != user_defined});
        break;
      case unused:
        break;
      default:
        refuse(fmt::format("its token {} is of the unknown type {}", i, lists.types[i]), where);
    }
  }
  return added;
}

}  // namespace

Tokenizer::Parts parse_token_lists(const TokenLists& lists, const std::string& where) {
  const PreTokenizerKind& kind = kind_of(lists, where);
  Tokenizer::Parts parts;
  parts.name = where;
  if (kind.composes) parts.normalizer = Normalizer({NormalForm::nfc});
  std::vector<PreTokenizer::Stage> stages;
  stages.emplace_back(SplitStage{.pattern = Regex(kind.pattern, where)});
  parts.pre_tokenizer = PreTokenizer(std::move(stages));

  std::vector<AddedToken> added = sort_tokens(lists, where, parts.vocabulary);
  MergeList merges;
  for (const std::string& line : lists.merges)
    merges.push_back(parse_merge_line(line, merges.size(), where));
  parts.bpe = Bpe(parts.vocabulary, resolve_merges(merges, parts.vocabulary, where),
                  {.whole_piece = kind.whole_piece});
  set_added_tokens(std::move(added), parts);
  return parts;
}

}  // namespace flux2
