#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "flux2/error.h"
#include "tokenizers/json_access.h"
#include "tokenizers/merge_list.h"
#include "tokenizers/tokenizer_parts.h"

namespace flux2 {
namespace {

// Sequences hold stages, and real files never put one into another more than once or twice.
constexpr int kMaxNesting = 8;

// GPT-2's own pattern, which ByteLevel splits with where use_regex is set.
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

[[noreturn]] void fail(std::string message, const std::string& where) {
  throw Error(ErrorCode::bad_file, std::move(message), where);
}

[[noreturn]] void refuse(std::string_view part, std::string_view kind, const std::string& where) {
  throw Error(ErrorCode::bad_file, fmt::format("the {} '{}' is not supported", part, kind), where,
              "byte-level BPE tokenizers such as Qwen's and Mistral's are");
}

/// Calls `visit(stage, type)` for each stage of a tokenizer's part, with Sequences opened.
template <typename Visit>
void for_each_stage(const Json& part, std::string_view list_key, const std::string& where,
                    const Visit& visit, int depth = 0) {
  if (depth > kMaxNesting) fail(fmt::format("'{}' is nested too deeply", list_key), where);
  const std::string type = require_string(part, "type", where);
  if (type != "Sequence") {
    visit(part, type);
    return;
  }
  for (const Json& stage : require_array(part, list_key, where)) {
    for_each_stage(stage, list_key, where, visit, depth + 1);
  }
}

Normalizer parse_normalizer(const Json& file, const std::string& where) {
  constexpr std::array<std::pair<std::string_view, NormalForm>, 4> kForms{
      {{"NFC", NormalForm::nfc},
       {"NFD", NormalForm::nfd},
       {"NFKC", NormalForm::nfkc},
       {"NFKD", NormalForm::nfkd}}};
  std::vector<NormalForm> forms;
  const Json* entry = find_entry(file, "normalizer");
  if (entry == nullptr) return {};
  for_each_stage(*entry, "normalizers", where, [&](const Json&, const std::string& type) {
    const auto form = std::find_if(kForms.begin(), kForms.end(),
                                   [&](const auto& known) { return known.first == type; });
    if (form == kForms.end()) refuse("normalizer", type, where);
    forms.push_back(form->second);
  });
  return Normalizer(std::move(forms));
}

SplitStage parse_split(const Json& stage, const std::string& where) {
  const Json& pattern = require_object(stage, "pattern", where);
  const auto literal = find_string(pattern, "String", where);
  // \Q...\E quotes, and a literal may itself contain \E.
  std::string source;
  if (literal) {
    for (const char character : *literal) {
      const bool special = std::string_view("\\^$.|?*+()[]{}").find(character) != std::string::npos;
      if (special) source += '\\';
      source += character;
    }
  } else {
    source = require_string(pattern, "Regex", where);
  }
  const std::string behavior = require_string(stage, "behavior", where);
  if (behavior != "Isolated" && behavior != "Removed") refuse("Split behaviour", behavior, where);
  const bool invert = flag_or(stage, "invert", false, where);
  const bool removes = behavior == "Removed";
  return {.pattern = Regex(source, where),
          .keep_matches = !removes || invert,
          .keep_gaps = !removes || !invert};
}

PreTokenizer parse_pre_tokenizer(const Json& file, const std::string& where) {
  std::vector<PreTokenizer::Stage> stages;
  bool byte_level = false;
  const Json& part = require_entry(file, "pre_tokenizer", where);
  for_each_stage(part, "pretokenizers", where, [&](const Json& stage, const std::string& type) {
    if (byte_level) fail("ByteLevel is not the last pre_tokenizer", where);
    if (type == "Split") {
      stages.emplace_back(parse_split(stage, where));
    } else if (type == "ByteLevel") {
      byte_level = true;
      if (flag_or(stage, "add_prefix_space", true, where)) stages.emplace_back(PrefixSpaceStage{});
      if (flag_or(stage, "use_regex", true, where)) {
        stages.emplace_back(SplitStage{.pattern = Regex(kGpt2Pattern, where)});
      }
    } else {
      refuse("pre_tokenizer", type, where);
    }
  });
  if (!byte_level) refuse("pre_tokenizer", "without ByteLevel", where);
  return PreTokenizer(std::move(stages));
}

/// TemplateProcessing: special tokens around the one sequence A.
void parse_template(const Json& processor, const std::string& where, Tokenizer::Parts& parts) {
  std::vector<std::int32_t>* side = &parts.prefix;
  for (const Json& piece : require_array(processor, "single", where)) {
    if (find_entry(piece, "Sequence") != nullptr) {
      if (side == &parts.suffix) fail("the post_processor repeats its text", where);
      side = &parts.suffix;
      continue;
    }
    const std::string name =
        require_string(require_object(piece, "SpecialToken", where), "id", where);
    const Json& token =
        require_object(require_object(processor, "special_tokens", where), name, where);
    for (const Json& value : require_array(token, "ids", where)) {
      side->push_back(to_token_id(value, "ids", where));
    }
  }
  if (side == &parts.prefix) fail("the post_processor leaves its text out", where);
}

void parse_post_processor(const Json& file, const std::string& where, Tokenizer::Parts& parts) {
  const Json* entry = find_entry(file, "post_processor");
  if (entry == nullptr) return;
  bool seen = false;
  for_each_stage(*entry, "processors", where, [&](const Json& stage, const std::string& type) {
    if (type == "ByteLevel") return;  // it moves offsets and no ids
    if (type != "TemplateProcessing" || seen) refuse("post_processor", type, where);
    seen = true;
    parse_template(stage, where, parts);
  });
}

MergeList parse_merges(const Json& model, const std::string& where) {
  MergeList merges;
  const Json& list = require_array(model, "merges", where);
  merges.reserve(list.size());
  for (const Json& entry : list) {
    if (entry.is_string()) {
      merges.push_back(parse_merge_line(entry.get_ref<const std::string&>(), merges.size(), where));
    } else if (entry.is_array() && entry.size() == 2 && entry[0].is_string() &&
               entry[1].is_string()) {
      merges.emplace_back(entry[0].get<std::string>(), entry[1].get<std::string>());
    } else {
      fail(fmt::format("merge {} is no pair of tokens", merges.size()), where);
    }
  }
  return merges;
}

void parse_vocabulary(const Json& vocabulary, const std::string& where, Tokenizer::Parts& parts) {
  for (const auto& [token, id] : vocabulary.items()) {
    parts.vocabulary.add(token, to_token_id(id, token, where), where);
  }
}

void parse_model(const Json& file, const std::string& where, Tokenizer::Parts& parts) {
  const Json& model = require_object(file, "model", where);
  if (const auto type = find_string(model, "type", where); type.value_or("BPE") != "BPE") {
    refuse("model", *type, where);
  }
  for (const std::string_view key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!find_string(model, key, where).value_or("").empty()) refuse("model with", key, where);
  }
  const Json* dropout = find_entry(model, "dropout");
  if (dropout != nullptr && *dropout != 0.0) refuse("model with", "dropout", where);

  parse_vocabulary(require_object(model, "vocab", where), where, parts);
  Bpe::Options options{.fuse_unknown = flag_or(model, "fuse_unk", false, where)};
  if (flag_or(model, "ignore_merges", false, where)) options.whole_piece = WholePiece::look_up;
  if (const auto unknown = find_string(model, "unk_token", where)) {
    options.unknown = parts.vocabulary.find(*unknown);
    if (!options.unknown) fail(fmt::format("'unk_token' '{}' has no id", *unknown), where);
  }
  const std::vector<Merge> merges =
      resolve_merges(parse_merges(model, where), parts.vocabulary, where);
  parts.bpe = Bpe(parts.vocabulary, merges, options);
}

std::vector<AddedToken> parse_added_tokens(const Json& file, const std::string& where) {
  std::vector<AddedToken> added;
  if (find_entry(file, "added_tokens") == nullptr) return added;
  for (const Json& entry : require_array(file, "added_tokens", where)) {
    added.push_back(parse_added_token(entry, where));
    added.back().id = to_token_id(require_entry(entry, "id", where), "id", where);
  }
  return added;
}

/// tokenizer.json's own padding and truncation sections speak where tokenizer_config.json does not.
void complete_settings(const Json& file, const std::string& where, TokenizerSettings& settings) {
  if (const Json* padding = find_entry(file, "padding")) {
    if (!settings.pad_token) settings.pad_token = find_string(*padding, "pad_token", where);
    const auto side = find_string(*padding, "direction", where);
    if (side && !settings.padding_side) settings.padding_side = parse_side(*side, "padding", where);
  }
  if (const Json* truncation = find_entry(file, "truncation")) {
    const auto side = find_string(*truncation, "direction", where);
    if (side && !settings.truncation_side) {
      settings.truncation_side = parse_side(*side, "truncation", where);
    }
  }
}

}  // namespace

Tokenizer::Parts parse_tokenizer_json(const Json& file, const std::string& where,
                                      const TokenizerSettings& settings) {
  Tokenizer::Parts parts;
  parts.name = where;
  parts.settings = settings;
  parts.normalizer = parse_normalizer(file, where);
  parts.pre_tokenizer = parse_pre_tokenizer(file, where);
  parse_model(file, where, parts);
  set_added_tokens(parse_added_tokens(file, where), parts);
  parse_post_processor(file, where, parts);
  complete_settings(file, where, parts.settings);
  return parts;
}

Tokenizer::Parts parse_vocab_and_merges(const Json& vocab, std::string_view merges,
                                        const std::string& where,
                                        const TokenizerSettings& settings) {
  Tokenizer::Parts parts;
  parts.name = where;
  parts.settings = settings;
  parts.normalizer = Normalizer({NormalForm::nfc});
  std::vector<PreTokenizer::Stage> stages;
  stages.emplace_back(SplitStage{.pattern = Regex(kQwen2Pattern, where)});
  parts.pre_tokenizer = PreTokenizer(std::move(stages));
  if (!vocab.is_object()) fail("holds no JSON object", where);
  parse_vocabulary(vocab, where, parts);
  parts.bpe = Bpe(parts.vocabulary,
                  resolve_merges(parse_merges_txt(merges, where), parts.vocabulary, where), {});
  set_added_tokens({}, parts);
  return parts;
}

}  // namespace flux2
