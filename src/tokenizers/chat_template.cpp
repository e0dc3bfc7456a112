#include "tokenizers/chat_template.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "flux2/error.h"
#include "tokenizers/system_messages.h"

namespace flux2 {
namespace {

constexpr std::string_view kImage = "[IMG]";
constexpr std::string_view kImageBreak = "[IMG_BREAK]";
constexpr std::string_view kImageEnd = "[IMG_END]";

// Pixtral's largest picture is 1540 pixels a side: 55 merged patches.
constexpr std::size_t kMaxGridSide = 55;

/// What differs between the families.
struct FamilyTraits {
  std::string_view pad_token;
  Side padding_side;
  SpecialTokens special;  ///< the template of dev brings its <s> along
  /// What the checkpoint's own template must contain for the fixed text here to be its result.
  std::array<std::string_view, 4> marks;
};

constexpr FamilyTraits kKlein{
    .pad_token = "<|endoftext|>",
    .padding_side = Side::right,
    .special = SpecialTokens::take_in,
    .marks = {"<|im_start|>", "<|im_end|>", "enable_thinking", R"(<think>\n\n</think>\n\n)"}};
constexpr FamilyTraits kDev{.pad_token = "<pad>",
                            .padding_side = Side::left,
                            .special = SpecialTokens::keep_out,
                            .marks = {"[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[INST]", "[/INST]"}};

const FamilyTraits& traits_of(PromptFamily family) {
  return family == PromptFamily::klein ? kKlein : kDev;
}

void check_template(const Tokenizer& tokenizer, const FamilyTraits& traits) {
  const std::optional<std::string>& jinja = tokenizer.settings().chat_template;
  if (!jinja) return;
  for (const std::string_view mark : traits.marks) {
    if (jinja->find(mark) != std::string::npos) continue;
    throw Error(ErrorCode::bad_file, fmt::format("the chat template has no '{}'", mark),
                tokenizer.name(),
                "only the templates that FLUX.2 was published with are supported");
  }
}

std::int32_t pad_id_of(const Tokenizer& tokenizer, const FamilyTraits& traits) {
  const std::string token = tokenizer.settings().pad_token.value_or(std::string(traits.pad_token));
  const std::optional<std::int32_t> id = tokenizer.token_to_id(token);
  if (!id) {
    throw Error(ErrorCode::bad_file,
                fmt::format("the padding token '{}' is not in the vocabulary", token),
                tokenizer.name(), "check pad_token in tokenizer_config.json");
  }
  return *id;
}

/// The `length` of `text` that stays: the post-processor's tokens are kept, the text gives way.
std::vector<std::int32_t> encode_cut(const Tokenizer& tokenizer, const FamilyTraits& traits,
                                     std::string_view text, std::size_t length) {
  std::vector<std::int32_t> ids = tokenizer.encode(text, traits.special);
  if (ids.size() <= length) return ids;
  const auto excess = static_cast<std::ptrdiff_t>(ids.size() - length);
  const TextEdges edges =
      traits.special == SpecialTokens::take_in ? tokenizer.special_token_edges() : TextEdges{};
  if (edges.before + edges.behind > length) {
    throw Error(ErrorCode::invalid_request,
                fmt::format("a length of {} leaves no room for the {} special tokens", length,
                            edges.before + edges.behind),
                "max_sequence_length");
  }
  const bool from_left = tokenizer.settings().truncation_side.value_or(Side::right) == Side::left;
  const auto first = from_left ? ids.begin() + static_cast<std::ptrdiff_t>(edges.before)
                               : ids.end() - static_cast<std::ptrdiff_t>(edges.behind) - excess;
  ids.erase(first, first + excess);
  return ids;
}

TokenizedPrompt encode_chat(const Tokenizer& tokenizer, const FamilyTraits& traits,
                            std::string_view chat, std::size_t length) {
  if (length == 0) {
    throw Error(ErrorCode::invalid_request, "must be at least 1", "max_sequence_length");
  }
  check_template(tokenizer, traits);
  const std::int32_t pad = pad_id_of(tokenizer, traits);
  const std::vector<std::int32_t> tokens = encode_cut(tokenizer, traits, chat, length);
  const bool pad_left =
      tokenizer.settings().padding_side.value_or(traits.padding_side) == Side::left;

  TokenizedPrompt prompt{.ids = std::vector<std::int32_t>(length, pad),
                         .mask = std::vector<std::int32_t>(length, 0),
                         .first_valid = pad_left ? length - tokens.size() : 0,
                         .count = tokens.size()};
  const auto first = static_cast<std::ptrdiff_t>(prompt.first_valid);
  std::copy(tokens.begin(), tokens.end(), prompt.ids.begin() + first);
  std::fill_n(prompt.mask.begin() + first, tokens.size(), 1);
  return prompt;
}

std::string without_images(std::string_view prompt) {
  std::string result;
  for (std::size_t found = prompt.find(kImage); found != std::string_view::npos;
       found = prompt.find(kImage)) {
    result += prompt.substr(0, found);
    prompt.remove_prefix(found + kImage.size());
  }
  return result += prompt;
}

std::string system_turn(std::string_view message) {
  return fmt::format("<s>[SYSTEM_PROMPT]{}[/SYSTEM_PROMPT]", message);
}

std::string user_turn(std::string_view content) {
  return fmt::format("[INST]{}[/INST]", content);
}

void append_image(std::string& text, const ImageGrid& grid) {
  if (grid.rows == 0 || grid.columns == 0 || grid.rows > kMaxGridSide ||
      grid.columns > kMaxGridSide) {
    throw Error(ErrorCode::invalid_request,
                fmt::format("a picture of {} x {} patches; 1 to {} a side are possible", grid.rows,
                            grid.columns, kMaxGridSide),
                "image");
  }
  for (std::size_t row = 1; row <= grid.rows; ++row) {
    for (std::size_t column = 0; column < grid.columns; ++column)
      text += kImage;
    text += row < grid.rows ? kImageBreak : kImageEnd;
  }
}

}  // namespace

std::string klein_chat(std::string_view prompt) {
  return fmt::format(
      "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n", prompt);
}

std::string dev_chat(std::string_view prompt) {
  return system_turn(kSystemMessage) + user_turn(without_images(prompt));
}

std::string dev_upsampling_chat(std::string_view prompt, std::span<const ImageGrid> images) {
  const std::string request = user_turn(without_images(prompt));
  if (images.empty()) return system_turn(kSystemMessageUpsamplingT2I) + request;
  std::string pictures;
  for (const ImageGrid& grid : images)
    append_image(pictures, grid);
  return system_turn(kSystemMessageUpsamplingI2I) + user_turn(pictures) + request;
}

std::string klein_upsampling_chat(std::string_view prompt) {
  return fmt::format("<|im_start|>system\n{}<|im_end|>\n{}", kSystemMessageUpsamplingT2I,
                     klein_chat(prompt));
}

TokenizedPrompt encode_prompt(const Tokenizer& tokenizer, PromptFamily family,
                              std::string_view prompt, std::size_t max_length) {
  const std::string chat = family == PromptFamily::klein ? klein_chat(prompt) : dev_chat(prompt);
  return encode_chat(tokenizer, traits_of(family), chat, max_length);
}

TokenizedPrompt encode_upsampling(const Tokenizer& tokenizer, std::string_view prompt,
                                  std::span<const ImageGrid> images, std::size_t max_length) {
  TokenizedPrompt chat = encode_chat(tokenizer, traits_of(PromptFamily::dev),
                                     dev_upsampling_chat(prompt, images), max_length);
  std::size_t expected = 0;
  for (const ImageGrid& grid : images)
    expected += grid.rows * grid.columns;
  const std::int32_t image = tokenizer.token_to_id(kImage).value_or(-1);
  const auto kept = static_cast<std::size_t>(std::count(chat.ids.begin(), chat.ids.end(), image));
  if (kept != expected) {
    throw Error(
        ErrorCode::invalid_request,
        fmt::format("{} of {} picture tokens fit into {} tokens", kept, expected, max_length),
        "caption upsampling", "use smaller pictures");
  }
  return chat;
}

}  // namespace flux2
