// A GGUF file's lists give the ids of the tokenizer.json that they were made from.
#include "tokenizers/token_lists.h"

#include <gtest/gtest.h>

#include <map>

#include "flux2/error.h"
#include "tokenizer_fixtures.h"

namespace flux2::testing {
namespace {

constexpr std::int64_t kNormal = 1;
constexpr std::int64_t kControl = 3;
constexpr std::int64_t kUserDefined = 4;
constexpr std::int64_t kUnused = 5;

// What llama.cpp's converter makes of a tokenizer.json.
struct Lists {
  std::vector<std::string> tokens;
  std::vector<std::int64_t> types;
  std::vector<std::string> merges;

  explicit Lists(const Json& file) {
    std::map<std::int32_t, std::string> by_id;
    for (const auto& [token, id] : file["model"]["vocab"].items())
      by_id[id.get<std::int32_t>()] = token;
    std::map<std::int32_t, std::int64_t> added;
    for (const Json& token : file["added_tokens"]) {
      by_id[token["id"].get<std::int32_t>()] = token["content"].get<std::string>();
      added[token["id"].get<std::int32_t>()] = token["special"] ? kControl : kUserDefined;
    }
    for (std::int32_t id = 0; id <= by_id.rbegin()->first; ++id) {
      const auto known = by_id.find(id);
      tokens.push_back(known == by_id.end() ? "[PAD" + std::to_string(id) + "]" : known->second);
      types.push_back(known == by_id.end() ? kUnused
                                           : (added.contains(id) ? added.at(id) : kNormal));
    }
    for (const Json& merge : file["model"]["merges"]) {
      merges.push_back(merge.is_string()
                           ? merge.get<std::string>()
                           : merge[0].get<std::string>() + " " + merge[1].get<std::string>());
    }
  }

  TokenLists view(std::string_view pre) const {
    return {.model = "gpt2", .pre = pre, .tokens = tokens, .types = types, .merges = merges};
  }
};

const std::vector<std::string> kTexts = {
    "A cat holding a sign that says hello world",
    "<|im_start|>user\nIt's  2 caf\u00e9s\n\n<|im_end|>\n<think>\n\n</think>\n\n",
    "<s>[SYSTEM_PROMPT]You are an AI[/SYSTEM_PROMPT][INST]iPhone 1234/5 e\u0301 "
    "\u4e16\u754c[/INST]",
    "   tabs\tand\r\nlines ... \xF0\x9F\x8E\xA8 I'M we'll", ""};

void expect_same(const Tokenizer& lists, const Tokenizer& file) {
  for (const std::string& text : kTexts) {
    const Ids ids = file.encode(text);
    EXPECT_EQ(lists.encode(text), ids) << text;
    EXPECT_EQ(lists.decode(ids, SpecialTokens::keep_out),
              file.decode(ids, SpecialTokens::keep_out));
  }
}

TEST(TokenLists, OfTheRealQwen3) {
  const Lists lists(Json::parse(qwen3_json()));
  expect_same(Tokenizer::from_token_lists(lists.view("qwen2"), "test.gguf"), qwen3());
}

TEST(TokenLists, OfTheTinyTokenizers) {
  for (const auto& [model, pre] :
       {std::pair{"tiny-klein", "qwen2"}, std::pair{"tiny-dev", "tekken"}}) {
    const auto folder = std::filesystem::path(FLUX2_SOURCE_DIR) / "tests/goldens/data/checkpoints" /
                        model / "tokenizer";
    const Lists lists(read_json(folder / "tokenizer.json"));
    expect_same(Tokenizer::from_token_lists(lists.view(pre), "test.gguf"), Tokenizer::load(folder));
  }
}

TEST(TokenLists, WhatCannotBeReadIsRefused) {
  const std::vector<std::string> tokens = {"a", "b", "ab", "<x>"};
  const std::vector<std::int64_t> types = {1, 1, 1, 3};
  const std::vector<std::string> merges = {"a b"};
  const TokenLists good = {
      .model = "gpt2", .pre = "qwen2", .tokens = tokens, .types = types, .merges = merges};
  EXPECT_EQ(Tokenizer::from_token_lists(good, "t").encode("ab<x>"), (Ids{2, 3}));
  const auto refusal = [](const TokenLists& lists) {
    try {
      Tokenizer::from_token_lists(lists, "t.gguf");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::bad_file);
      EXPECT_EQ(error.where(), "t.gguf");
      return std::string(error.what());
    }
    return std::string("nothing was thrown");
  };
  TokenLists bad = good;
  bad.model = "llama";
  EXPECT_NE(refusal(bad).find("'llama'"), std::string::npos);
  bad = good;
  bad.pre = "llama-bpe";
  EXPECT_NE(refusal(bad).find("'llama-bpe'"), std::string::npos);
  bad = good;
  bad.types = std::span(types).first(3);
  EXPECT_NE(refusal(bad).find("4 tokens and 3 types"), std::string::npos);
  const std::vector<std::int64_t> odd = {1, 1, 1, 9};
  bad = good;
  bad.types = odd;
  EXPECT_NE(refusal(bad).find("unknown type 9"), std::string::npos);
  const std::vector<std::string> lost = {"a c"};
  bad = good;
  bad.merges = lost;
  EXPECT_NE(refusal(bad).find("lacks"), std::string::npos);
  const std::vector<std::string> twice = {"a", "a", "ab", "<x>"};
  bad = good;
  bad.tokens = twice;
  EXPECT_NE(refusal(bad), "nothing was thrown");
}

}  // namespace
}  // namespace flux2::testing
