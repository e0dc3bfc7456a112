#include "tokenizers/tokenizer.h"

#include <fmt/format.h>

#include <deque>
#include <unordered_set>
#include <utility>

#include "base/mapped_file.h"
#include "flux2/error.h"
#include "tokenizers/byte_level.h"
#include "tokenizers/tokenizer_parts.h"
#include "tokenizers/utf8.h"

namespace flux2 {
namespace {

constexpr std::size_t kMaxTextBytes = std::size_t{1} << 30;

std::string_view text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

void check_text(std::string_view text) {
  if (text.size() >= kMaxTextBytes) {
    throw Error(ErrorCode::invalid_request,
                fmt::format("a text of {} bytes is too long", text.size()), "prompt");
  }
  if (const auto offset = first_invalid_utf8(text)) {
    throw Error(ErrorCode::invalid_request, fmt::format("no valid UTF-8 at byte {}", *offset),
                "prompt", "pass the text in UTF-8");
  }
}

TokenizerSettings load_settings(const std::filesystem::path& folder) {
  TokenizerSettings settings;
  const std::filesystem::path config = folder / "tokenizer_config.json";
  if (std::filesystem::exists(config)) {
    const MappedFile file(config);
    settings = parse_tokenizer_config(text_of(file), config.string());
  }
  // A template in a file of its own goes before the one in the configuration, as in transformers.
  const std::filesystem::path chat_template = folder / "chat_template.jinja";
  if (std::filesystem::exists(chat_template)) {
    const MappedFile file(chat_template);
    settings.chat_template = std::string(text_of(file));
  }
  return settings;
}

}  // namespace

Tokenizer::Tokenizer(Parts parts) : parts_(std::make_shared<const Parts>(std::move(parts))) {}

Tokenizer Tokenizer::from_json(std::string_view bytes, std::string name,
                               const TokenizerSettings& settings) {
  const Json file = parse_json(bytes, name);
  const bool tekken = find_entry(file, "model") == nullptr && find_entry(file, "config") != nullptr;
  return Tokenizer(tekken ? parse_tekken_json(file, name, settings)
                          : parse_tokenizer_json(file, name, settings));
}

Tokenizer Tokenizer::from_vocab_and_merges(std::string_view vocab, std::string_view merges,
                                           std::string name, const TokenizerSettings& settings) {
  return Tokenizer(parse_vocab_and_merges(parse_json(vocab, name), merges, name, settings));
}

Tokenizer Tokenizer::from_token_lists(const TokenLists& lists, const std::string& name) {
  return Tokenizer(parse_token_lists(lists, name));
}

Tokenizer Tokenizer::load(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::is_regular_file(path, ignored)) {
    const MappedFile file(path);
    return from_json(text_of(file), path.string(), load_settings(path.parent_path()));
  }
  const std::filesystem::path& folder = path;
  const TokenizerSettings settings = load_settings(folder);
  const auto has = [&](const char* name) { return std::filesystem::exists(folder / name); };
  const auto load_json = [&](const char* name) {
    const MappedFile file(folder / name);
    return from_json(text_of(file), file.path().string(), settings);
  };
  if (has("tokenizer.json")) return load_json("tokenizer.json");
  if (has("vocab.json") && has("merges.txt")) {
    const MappedFile vocab(folder / "vocab.json");
    const MappedFile merges(folder / "merges.txt");
    return from_vocab_and_merges(text_of(vocab), text_of(merges), folder.string(), settings);
  }
  if (has("tekken.json")) return load_json("tekken.json");
  throw Error(ErrorCode::bad_file,
              "holds neither tokenizer.json, nor vocab.json with merges.txt, nor tekken.json",
              folder.string(), "name the tokenizer/ folder of a complete checkpoint");
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, SpecialTokens special) const {
  check_text(text);
  std::vector<std::int32_t> ids;
  PreTokenizer::Run pre_tokenizer(parts_->pre_tokenizer);
  Bpe::Run bpe(parts_->bpe, parts_->vocabulary);
  std::deque<std::string> normalized;  // what pieces point into
  if (special == SpecialTokens::take_in) ids = parts_->prefix;
  for (const TextSegment& raw : parts_->added.split_raw(text)) {
    if (raw.id) {
      ids.push_back(*raw.id);
      continue;
    }
    const std::string& stretch = normalized.emplace_back(parts_->normalizer.normalize(raw.text));
    for (const TextSegment& segment : parts_->added.split_normalized(stretch)) {
      if (segment.id) {
        ids.push_back(*segment.id);
        continue;
      }
      for (const std::string_view piece : pre_tokenizer.pieces(segment.text)) {
        bpe.encode(piece, ids);
      }
    }
  }
  if (special == SpecialTokens::take_in) {
    ids.insert(ids.end(), parts_->suffix.begin(), parts_->suffix.end());
  }
  return ids;
}

TextEdges Tokenizer::special_token_edges() const {
  return {.before = parts_->prefix.size(), .behind = parts_->suffix.size()};
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids, SpecialTokens special) const {
  std::unordered_set<std::int32_t> left_out;
  if (special == SpecialTokens::keep_out) {
    for (const AddedToken& token : parts_->added.all()) {
      if (token.special) left_out.insert(token.id);
    }
  }
  std::string bytes;
  for (const std::int32_t id : ids) {
    const std::string* added = parts_->added_vocabulary.spelling(id);
    const std::string* spelling = added != nullptr ? added : parts_->vocabulary.spelling(id);
    if (spelling != nullptr && !left_out.contains(id)) bytes += unspell_bytes(*spelling);
  }
  return replace_invalid_utf8(bytes);
}

std::optional<std::int32_t> Tokenizer::token_to_id(std::string_view token) const {
  const std::optional<std::int32_t> added = parts_->added_vocabulary.find(token);
  return added ? added : parts_->vocabulary.find(token);
}

std::size_t Tokenizer::vocab_size() const {
  std::size_t count = parts_->vocabulary.size();
  for (const AddedToken& token : parts_->added.all()) {
    if (parts_->vocabulary.spelling(token.id) == nullptr) ++count;
  }
  return count;
}

const TokenizerSettings& Tokenizer::settings() const {
  return parts_->settings;
}

const std::string& Tokenizer::name() const {
  return parts_->name;
}

}  // namespace flux2
