// The texts around a prompt, and how they are cut and padded.
#include "tokenizers/chat_template.h"

#include <gtest/gtest.h>

#include "flux2/error.h"
#include "tokenizer_fixtures.h"
#include "tokenizers/system_messages.h"

namespace flux2 {
namespace {

using testing::Ids;
using testing::Json;

/// FNV-1a of 64 bits, enough to notice a changed byte.
std::uint64_t fingerprint(std::string_view text) {
  std::uint64_t hash = 0xCBF29CE484222325ULL;
  for (const char byte : text) {
    hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001B3ULL;
  }
  return hash;
}

// Sizes and fingerprints of Diffusers' constants, taken from its system_messages.py.
TEST(SystemMessages, AreDiffusers) {
  EXPECT_EQ(kSystemMessage.size(), 168U);
  EXPECT_EQ(fingerprint(kSystemMessage), 0xC75692EEB17FD5E3ULL);
  EXPECT_EQ(kSystemMessageUpsamplingT2I.size(), 770U);
  EXPECT_EQ(fingerprint(kSystemMessageUpsamplingT2I), 0x5A53BD2B0C7BECB8ULL);
  EXPECT_EQ(kSystemMessageUpsamplingI2I.size(), 627U);
  EXPECT_EQ(fingerprint(kSystemMessageUpsamplingI2I), 0x20ECD3F5A56D5037ULL);
}

TEST(ChatTemplate, Klein) {
  EXPECT_EQ(klein_chat(" a cat\n"),
            "<|im_start|>user\n a cat\n<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n");
}

TEST(ChatTemplate, DevRemovesEveryImageMark) {
  const std::string before =
      "<s>[SYSTEM_PROMPT]" + std::string(kSystemMessage) + "[/SYSTEM_PROMPT][INST]";
  EXPECT_EQ(dev_chat("[IMG]a[IMG][IMG] cat[IMG"), before + "a cat[IMG[/INST]");
  EXPECT_EQ(dev_chat("[IM[IMG]G]"), before + "[IMG][/INST]");  // one pass, as str.replace
  EXPECT_EQ(dev_chat(""), before + "[/INST]");
}

TEST(ChatTemplate, Upsampling) {
  const std::string text = dev_upsampling_chat("a [IMG]cat", {});
  EXPECT_EQ(text, "<s>[SYSTEM_PROMPT]" + std::string(kSystemMessageUpsamplingT2I) +
                      "[/SYSTEM_PROMPT][INST]a cat[/INST]");
  const std::vector<ImageGrid> images{{2, 3}, {1, 1}};
  EXPECT_EQ(dev_upsampling_chat("fog", images),
            "<s>[SYSTEM_PROMPT]" + std::string(kSystemMessageUpsamplingI2I) +
                "[/SYSTEM_PROMPT][INST][IMG][IMG][IMG][IMG_BREAK][IMG][IMG][IMG][IMG_END]"
                "[IMG][IMG_END][/INST][INST]fog[/INST]");
  EXPECT_THROW(dev_upsampling_chat("fog", std::vector<ImageGrid>{{0, 3}}), Error);
  EXPECT_THROW(dev_upsampling_chat("fog", std::vector<ImageGrid>{{1, 1'000'000'000}}), Error);
}

TEST(EncodePrompt, RealVocabularies) {
  const TokenizedPrompt klein = encode_prompt(testing::qwen3(), PromptFamily::klein, "", 512);
  EXPECT_EQ(klein.ids.size(), 512U);
  EXPECT_EQ(klein.first_valid, 0U);
  EXPECT_EQ(klein.count, 12U);
  EXPECT_EQ(klein.ids.back(), 151643);
  const TokenizedPrompt dev = encode_prompt(testing::tekken(), PromptFamily::dev, "", 512);
  EXPECT_EQ(dev.first_valid, 512U - 33U);
  EXPECT_EQ(dev.count, 33U);
  EXPECT_EQ(dev.ids.front(), 11);
  EXPECT_EQ(dev.ids.back(), 4);
}

TEST(EncodePrompt, KeepsTheFirstTokens) {
  const Ids whole = testing::tekken().encode(dev_chat("a cat"));
  const TokenizedPrompt prompt = encode_prompt(testing::tekken(), PromptFamily::dev, "a cat", 20);
  EXPECT_EQ(prompt.ids, Ids(whole.begin(), whole.begin() + 20));
  EXPECT_EQ(prompt.mask, Ids(20, 1));
  EXPECT_EQ(prompt.count, 20U);
  EXPECT_THROW(encode_prompt(testing::tekken(), PromptFamily::dev, "a cat", 0), Error);
}

/// A byte tokenizer with what klein's template needs.
Tokenizer small_klein(const TokenizerSettings& settings, bool with_edges = false) {
  Json file = testing::byte_tokenizer();
  file["added_tokens"] = {{{"id", 300}, {"content", "<|endoftext|>"}}};
  if (with_edges) {
    file["post_processor"] = {{"type", "TemplateProcessing"},
                              {"single",
                               {{{"SpecialToken", {{"id", "x"}}}},
                                {{"Sequence", {{"id", "A"}}}},
                                {{"SpecialToken", {{"id", "x"}}}}}},
                              {"special_tokens", {{"x", {{"ids", {7}}}}}}};
  }
  return Tokenizer::from_json(file.dump(), "test.json", settings);
}

TEST(EncodePrompt, TheCheckpointsSettingsCount) {
  const std::size_t length = klein_chat("").size() + 4;
  const auto plain = encode_prompt(small_klein({}), PromptFamily::klein, "", length);
  EXPECT_EQ(plain.first_valid, 0U);
  EXPECT_EQ(plain.ids.back(), 300);
  const Tokenizer left = small_klein({.pad_token = "!", .padding_side = Side::left});
  const auto padded = encode_prompt(left, PromptFamily::klein, "", length);
  EXPECT_EQ(padded.first_valid, 4U);
  EXPECT_EQ(padded.ids.front(), '!');
  const Tokenizer cut = small_klein({.truncation_side = Side::left});
  EXPECT_EQ(encode_prompt(cut, PromptFamily::klein, "", 3).ids, (Ids{'>', '\n', '\n'}));
  EXPECT_THROW(encode_prompt(small_klein({.pad_token = "no"}), PromptFamily::klein, "", 3), Error);
}

TEST(EncodePrompt, ThePostProcessorsTokensAreNotCut) {
  const auto right = encode_prompt(small_klein({}, true), PromptFamily::klein, "", 4);
  EXPECT_EQ(right.ids, (Ids{7, '<', '|', 7}));
  const Tokenizer left = small_klein({.truncation_side = Side::left}, true);
  EXPECT_EQ(encode_prompt(left, PromptFamily::klein, "", 4).ids, (Ids{7, '\n', '\n', 7}));
  EXPECT_THROW(encode_prompt(left, PromptFamily::klein, "", 1), Error);
}

TEST(EncodePrompt, AnotherChatTemplateIsRefused) {
  const Tokenizer other = small_klein({.chat_template = "{{ messages }}"});
  try {
    encode_prompt(other, PromptFamily::klein, "a cat", 64);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_file);
    EXPECT_EQ(error.where(), "test.json");
  }
}

TEST(EncodeUpsampling, RefusesToLosePicture) {
  const std::vector<ImageGrid> images{{55, 55}};
  EXPECT_THROW(encode_upsampling(testing::tekken(), "fog", images), Error);
  EXPECT_NO_THROW(encode_upsampling(testing::tekken(), "fog", images, 4096));
}

}  // namespace
}  // namespace flux2
