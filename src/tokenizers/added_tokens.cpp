#include "tokenizers/added_tokens.h"

#include <fmt/format.h>
#include <unicode/uchar.h>

#include <algorithm>
#include <functional>

#include "flux2/error.h"
#include "tokenizers/utf8.h"

namespace flux2 {
namespace {

constexpr std::size_t kMaxContentBytes = 4096;

/// \w of Unicode's UTS 18: what Hugging Face's single_word looks at.
bool is_word(char32_t code_point) {
  const auto c = static_cast<UChar32>(code_point);
  const auto category = U_MASK(u_charType(c));
  return u_hasBinaryProperty(c, UCHAR_ALPHABETIC) || u_hasBinaryProperty(c, UCHAR_JOIN_CONTROL) ||
         (category & (U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK)) != 0;
}

bool touches_word(std::string_view text, std::size_t begin, std::size_t end) {
  std::size_t behind = end;
  return (begin > 0 && is_word(last_code_point(text.substr(0, begin)))) ||
         (end < text.size() && is_word(next_code_point(text, behind)));
}

bool is_space(char32_t code_point) {
  return u_isUWhiteSpace(static_cast<UChar32>(code_point));
}

std::size_t skip_space_back(std::string_view text, std::size_t position, std::size_t lowest) {
  while (position > lowest) {
    const char32_t last = last_code_point(text.substr(0, position));
    if (!is_space(last)) break;
    std::string encoded;
    append_code_point(encoded, last);
    position -= encoded.size();
  }
  return position;
}

std::size_t skip_space(std::string_view text, std::size_t position) {
  while (position < text.size()) {
    std::size_t behind = position;
    if (!is_space(next_code_point(text, behind))) break;
    position = behind;
  }
  return position;
}

}  // namespace

void AddedTokens::Matcher::add(std::string content, const AddedToken& token) {
  auto& lengths = lengths_[static_cast<unsigned char>(content.front())];
  const auto place =
      std::lower_bound(lengths.begin(), lengths.end(), content.size(), std::greater<>());
  if (place == lengths.end() || *place != content.size()) lengths.insert(place, content.size());
  tokens_.try_emplace(std::move(content), token);
}

const AddedToken* AddedTokens::Matcher::longest_at(std::string_view text, std::size_t position,
                                                   std::size_t& length) const {
  for (const std::size_t candidate : lengths_[static_cast<unsigned char>(text[position])]) {
    if (candidate > text.size() - position) continue;
    const auto found = tokens_.find(std::string(text.substr(position, candidate)));
    if (found == tokens_.end()) continue;
    length = candidate;
    return &found->second;
  }
  return nullptr;
}

std::vector<TextSegment> AddedTokens::Matcher::split(std::string_view text) const {
  std::vector<TextSegment> segments;
  std::size_t done = 0;  // everything before it is in `segments`
  for (std::size_t position = 0; position < text.size();) {
    std::size_t length = 0;
    const AddedToken* token = longest_at(text, position, length);
    if (token == nullptr) {
      ++position;
      continue;
    }
    std::size_t begin = position;
    std::size_t end = position + length;
    position = end;
    if (token->single_word && touches_word(text, begin, end)) continue;
    if (token->lstrip) begin = skip_space_back(text, begin, done);
    if (token->rstrip) end = skip_space(text, end);
    begin = std::max(begin, done);  // an earlier token may have taken space along
    if (begin >= end) continue;
    if (begin > done) segments.push_back({std::nullopt, text.substr(done, begin - done)});
    segments.push_back({token->id, text.substr(begin, end - begin)});
    done = end;
  }
  if (done < text.size()) segments.push_back({std::nullopt, text.substr(done)});
  return segments;
}

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, const Normalizer& normalizer,
                         const std::string& where)
    : tokens_(std::move(tokens)) {
  std::erase_if(tokens_, [](const AddedToken& token) { return token.content.empty(); });
  for (const AddedToken& token : tokens_) {
    if (token.content.size() > kMaxContentBytes) {
      throw Error(ErrorCode::bad_file,
                  fmt::format("added token {} is {} bytes long (at most {})", token.id,
                              token.content.size(), kMaxContentBytes),
                  where);
    }
    if (token.normalized) {
      normalized_.add(normalizer.normalize(token.content), token);
    } else {
      raw_.add(token.content, token);
    }
  }
}

}  // namespace flux2
