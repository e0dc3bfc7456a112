// Ids of the real vocabularies and of the small checkpoints, all exact.
#include <gtest/gtest.h>

#include "tokenizer_fixtures.h"
#include "tokenizers/chat_template.h"

namespace flux2 {
namespace {

using testing::Ids;
using testing::Json;

TEST(RealVocabulary, Qwen3) {
  const Json cases = testing::read_json(testing::goldens() / "vocabularies/qwen3.json").at("cases");
  ASSERT_EQ(cases.size(), 170U);
  for (const Json& each : cases) {
    const auto text = each.at("text").get<std::string>();
    EXPECT_EQ(testing::qwen3().encode(text), each.at("ids").get<Ids>()) << text;
    EXPECT_EQ(testing::qwen3().encode(klein_chat(text)), each.at("template_ids").get<Ids>())
        << text;
  }
}

TEST(RealVocabulary, Tekken) {
  const Json cases =
      testing::read_json(testing::goldens() / "vocabularies/tekken.json").at("cases");
  ASSERT_EQ(cases.size(), 170U);
  for (const Json& each : cases) {
    const auto text = each.at("text").get<std::string>();
    EXPECT_EQ(testing::tekken().encode(text), each.at("ids").get<Ids>()) << text;
    EXPECT_EQ(testing::tekken().encode(dev_chat(text)), each.at("prompt_ids").get<Ids>()) << text;
  }
}

// The same ranks under the pattern of another published tokenizer.json: the file's pattern counts.
TEST(RealVocabulary, TekkenWithTheOtherPattern) {
  const Json golden = testing::read_json(testing::goldens() / "vocabularies/tekken.json");
  Json file = Json::parse(testing::tekken_json());
  ASSERT_EQ(file.at("config").at("pattern"), golden.at("regex"));
  file.at("config").at("pattern") = golden.at("shipped_regex");
  const Tokenizer tokenizer = Tokenizer::from_json(file.dump(), "tekken with another pattern");
  int different = 0;
  for (const Json& each : golden.at("cases")) {
    const auto text = each.at("text").get<std::string>();
    EXPECT_EQ(tokenizer.encode(text), each.at("shipped_regex_ids").get<Ids>()) << text;
    if (each.at("shipped_regex_ids") != each.at("ids")) ++different;
  }
  EXPECT_GT(different, 0);
}

// Without special tokens to find, the text stays text: mistral-common's way.
TEST(RealVocabulary, TekkenPlain) {
  const Json cases =
      testing::read_json(testing::goldens() / "vocabularies/tekken.json").at("cases");
  int special = 0;
  for (const Json& each : cases) {
    if (each.at("ids") != each.at("plain_ids")) ++special;
  }
  EXPECT_GT(special, 0);
  Json file = Json::parse(testing::tekken_json());
  file["special_tokens"] = Json::array();
  file.at("config").at("default_num_special_tokens") = 1000;
  const Tokenizer tokenizer = Tokenizer::from_json(file.dump(), "tekken without special tokens");
  for (const Json& each : cases) {
    const auto text = each.at("text").get<std::string>();
    EXPECT_EQ(tokenizer.encode(text), each.at("plain_ids").get<Ids>()) << text;
  }
}

TEST(RealVocabulary, Sizes) {
  EXPECT_EQ(testing::qwen3().vocab_size(), 151669U);
  EXPECT_EQ(testing::tekken().vocab_size(), 131072U);
  EXPECT_EQ(testing::qwen3().token_to_id("<|endoftext|>"), 151643);
  EXPECT_EQ(testing::tekken().token_to_id("<pad>"), 11);
  EXPECT_EQ(testing::tekken().token_to_id("<SPECIAL_999>"), 999);
  EXPECT_EQ(testing::tekken().token_to_id("no such token"), std::nullopt);
}

struct Checkpoint {
  const char* name;
  PromptFamily family;
};

class SmallCheckpoint : public ::testing::TestWithParam<Checkpoint> {};

TEST_P(SmallCheckpoint, PromptIds) {
  const auto [name, family] = GetParam();
  const auto folder = testing::goldens() / "checkpoints" / name / "tokenizer";
  const Json golden =
      testing::read_json(testing::goldens() / "text" / (std::string(name) + ".tokenizer.json"));
  const Tokenizer tokenizer = Tokenizer::load(folder);
  const auto length = golden.at("max_sequence_length").get<std::size_t>();
  ASSERT_EQ(golden.at("cases").size(), 25U);
  for (const Json& each : golden.at("cases")) {
    const auto text = each.at("prompt").get<std::string>();
    const TokenizedPrompt prompt = encode_prompt(tokenizer, family, text, length);
    EXPECT_EQ(prompt.ids, each.at("ids").get<Ids>()) << text;
    EXPECT_EQ(prompt.mask, each.at("mask").get<Ids>()) << text;
    Ids mask(length, 0);
    for (std::size_t i = 0; i < prompt.count; ++i)
      mask.at(prompt.first_valid + i) = 1;
    EXPECT_EQ(prompt.mask, mask) << text;
  }
}

INSTANTIATE_TEST_SUITE_P(All, SmallCheckpoint,
                         ::testing::Values(Checkpoint{"tiny-klein", PromptFamily::klein},
                                           Checkpoint{"tiny-klein-base", PromptFamily::klein},
                                           Checkpoint{"tiny-klein-kv", PromptFamily::klein},
                                           Checkpoint{"tiny-dev", PromptFamily::dev}));

// The nano model carries its vocabulary in both spellings.
TEST(NanoModel, VocabAndMergesEqualTokenizerJson) {
  const auto folder = std::filesystem::path(FLUX2_SOURCE_DIR) / "models/nano/tokenizer";
  const Tokenizer whole = Tokenizer::load(folder);
  const Tokenizer parts = Tokenizer::from_vocab_and_merges(
      testing::read_file(folder / "vocab.json"), testing::read_file(folder / "merges.txt"), "nano",
      whole.settings());
  EXPECT_EQ(whole.vocab_size(), parts.vocab_size());
  const Json golden = testing::read_json(testing::goldens() / "text/tiny-klein.tokenizer.json");
  for (const Json& each : golden.at("cases")) {
    const std::string chat = klein_chat(each.at("prompt").get<std::string>());
    EXPECT_EQ(whole.encode(chat), parts.encode(chat)) << chat;
  }
}

struct Caption {
  const char* name;
  std::vector<ImageGrid> images;
};

class CaptionUpsampling : public ::testing::TestWithParam<Caption> {};

TEST_P(CaptionUpsampling, IdsAndText) {
  const auto& [name, images] = GetParam();
  const Json golden =
      testing::read_json(testing::goldens() / "caption" / (std::string(name) + ".json"));
  const Tokenizer tokenizer =
      Tokenizer::load(testing::goldens() / "checkpoints/tiny-dev/tokenizer");
  const TokenizedPrompt chat =
      encode_upsampling(tokenizer, golden.at("prompt").get<std::string>(), images);
  EXPECT_EQ(chat.ids.size(), golden.at("padded_length").get<std::size_t>());
  EXPECT_EQ(chat.first_valid + chat.count, chat.ids.size());
  const auto begin = chat.ids.begin() + static_cast<std::ptrdiff_t>(chat.first_valid);
  EXPECT_EQ(Ids(begin, chat.ids.end()), golden.at("ids").get<Ids>());
  EXPECT_EQ(tokenizer.decode(golden.at("generated").get<Ids>(), SpecialTokens::keep_out),
            golden.at("text").get<std::string>());
}

INSTANTIATE_TEST_SUITE_P(All, CaptionUpsampling,
                         ::testing::Values(Caption{"no-image", {}}, Caption{"one-image", {{3, 4}}},
                                           Caption{"two-images", {{5, 6}}},
                                           Caption{"large-image", {{26, 30}}}));

}  // namespace
}  // namespace flux2
