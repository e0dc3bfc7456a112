// Properties that hold for any text, long inputs, and the parts of tokenizer.json one by one.
#include "tokenizers/tokenizer.h"

#include <gtest/gtest.h>

#include <thread>

#include "flux2/error.h"
#include "tokenizer_fixtures.h"
#include "tokenizers/byte_level.h"
#include "tokenizers/normalizer.h"
#include "tokenizers/utf8.h"

namespace flux2 {
namespace {

using testing::byte_tokenizer;
using testing::from_json;
using testing::Ids;
using testing::Json;

/// Numerical Recipes' generator: the same texts on every machine.
class Lcg {
 public:
  std::uint32_t below(std::uint32_t limit) {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<std::uint32_t>(state_ >> 33) % limit;
  }

 private:
  std::uint64_t state_ = 20;
};

std::string random_text(Lcg& random) {
  constexpr std::array<std::uint32_t, 5> kRanges{0x80, 0x250, 0x3000, 0x10000, 0x110000};
  std::string text;
  const std::uint32_t count = random.below(40);
  while (text.size() < count) {
    const std::uint32_t code_point = random.below(kRanges[random.below(5)]);
    if (code_point >= 0xD800 && code_point < 0xE000) continue;
    append_code_point(text, static_cast<char32_t>(code_point));
  }
  return text;
}

TEST(Tokenizer, DecodingGivesTheNormalisedTextBack) {
  const Normalizer nfc({NormalForm::nfc});
  Lcg random;
  for (int i = 0; i < 5000; ++i) {
    const std::string text = random_text(random);
    EXPECT_EQ(testing::qwen3().decode(testing::qwen3().encode(text)), nfc.normalize(text));
    EXPECT_EQ(testing::tekken().decode(testing::tekken().encode(text)), text);
  }
}

TEST(Tokenizer, DecodeReplacesWhatIsNotUtf8) {
  const Tokenizer tokenizer = from_json(byte_tokenizer());
  const auto decode = [&](std::string_view bytes) {
    Ids ids;
    for (const char byte : bytes)
      ids.push_back(static_cast<unsigned char>(byte));
    return tokenizer.decode(ids);
  };
  EXPECT_EQ(decode("a\xE4\xB8\x80z"), "a\u4e00z");
  EXPECT_EQ(decode("a\xE4\xB8z"), "a\uFFFDz");              // a sequence that breaks off: one mark
  EXPECT_EQ(decode("\xF0\x9F\x98"), "\uFFFD");              // also at the end
  EXPECT_EQ(decode("\xC0\x80"), "\uFFFD\uFFFD");            // overlong
  EXPECT_EQ(decode("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");  // a surrogate
  EXPECT_EQ(decode("\xF5"), "\uFFFD");
}

TEST(Tokenizer, DecodeSkipsIdsWithoutToken) {
  const Tokenizer tokenizer = from_json(byte_tokenizer());
  EXPECT_EQ(tokenizer.decode(Ids{97, 100000, -1, 98}), "ab");
}

TEST(Tokenizer, DecodeLeavesSpecialTokensOutWhereAsked) {
  const Ids ids = testing::qwen3().encode("<|im_start|>a<think>");
  EXPECT_EQ(testing::qwen3().decode(ids), "<|im_start|>a<think>");
  EXPECT_EQ(testing::qwen3().decode(ids, SpecialTokens::keep_out), "a<think>");
}

TEST(Tokenizer, InvalidUtf8NamesItsOffset) {
  struct Case {
    std::string text;
    std::string offset;
  };
  for (const auto& [text, offset] :
       {Case{"ab\xFF", "byte 2"}, Case{"\u00e9\xE4\xB8", "byte 2"}, Case{"\xED\xA0\x80", "byte 0"},
        Case{"abc\xC0\x80", "byte 3"}, Case{"\xF4\x90\x80\x80", "byte 0"}}) {
    try {
      testing::qwen3().encode(text);
      ADD_FAILURE() << "accepted a text that is wrong at " << offset;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_request);
      EXPECT_NE(error.message().find(offset), std::string::npos) << error.what();
    }
  }
}

// One piece of a megabyte: quadratic merging would take hours, so finishing is the test.
TEST(Tokenizer, LongPieces) {
  constexpr std::size_t kMegabyte = 1'000'000;
  for (const Tokenizer* tokenizer : {&testing::qwen3(), &testing::tekken()}) {
    for (const char character : {'a', 'A', ' ', '\n', '!', '<'}) {
      const std::string text(kMegabyte, character);
      const Ids ids = tokenizer->encode(text);
      EXPECT_LT(ids.size(), kMegabyte);
      EXPECT_EQ(tokenizer->decode(ids), text);
    }
  }
}

TEST(Tokenizer, ManyThreads) {
  const std::string text = "A cat holding a sign, caf\u00e9 \u4e00\u4e8c, it's 1234 <|im_end|>";
  const Ids expected = testing::qwen3().encode(text);
  std::array<int, 4> wrong{};
  {
    std::vector<std::jthread> threads;
    for (int& count : wrong) {
      threads.emplace_back([&text, &expected, &count] {
        for (int i = 0; i < 200; ++i) {
          if (testing::qwen3().encode(text) != expected) ++count;
          if (testing::qwen3().decode(expected) != text) ++count;
        }
      });
    }
  }
  EXPECT_EQ(wrong, (std::array<int, 4>{}));
}

TEST(TokenizerJson, MergesInBothSpellings) {
  Json file = byte_tokenizer();
  EXPECT_EQ(from_json(file).encode("abcab"), (Ids{257, 256}));
  file["model"]["merges"] = Json::array({Json::array({"a", "b"}), Json::array({"ab", "c"})});
  EXPECT_EQ(from_json(file).encode("abcab"), (Ids{257, 256}));
}

TEST(TokenizerJson, IgnoreMergesTakesAWholePiece) {
  Json file = byte_tokenizer();
  file["model"]["merges"] = Json::array({"a b"});
  EXPECT_EQ(from_json(file).encode("abc ab"), (Ids{256, 99, 32, 256}));
  file["model"]["ignore_merges"] = true;
  EXPECT_EQ(from_json(file).encode("abc ab"), (Ids{257, 32, 256}));
}

TEST(TokenizerJson, IgnoreMergesDoesNotFindAddedTokens) {
  Json file = byte_tokenizer();
  file["model"]["ignore_merges"] = true;
  file["added_tokens"] = Json::array({{{"id", 300}, {"content", "xy"}, {"single_word", true}}});
  EXPECT_EQ(from_json(file).encode("!xy"), (Ids{33, 300}));
  EXPECT_EQ(from_json(file).encode("zxy xy"), (Ids{122, 120, 121, 32, 300}));
}

TEST(TokenizerJson, SplitRemovesOrKeeps) {
  Json file = byte_tokenizer();
  Json& split = file["pre_tokenizer"]["pretokenizers"][0];
  split["behavior"] = "Removed";
  EXPECT_EQ(from_json(file).encode("a  b"), (Ids{97, 98}));
  split["invert"] = true;
  EXPECT_EQ(from_json(file).encode("a  b"), (Ids{32, 32}));
  split["pattern"] = {{"String", "."}};  // no pattern: only a full stop is one
  EXPECT_EQ(from_json(file).encode("a.b"), (Ids{46}));
}

TEST(TokenizerJson, MongolianVowelSeparatorIsNoSpace) {
  const Tokenizer tokenizer = from_json([] {
    Json file = byte_tokenizer();
    file["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Removed";
    return file;
  }());
  EXPECT_EQ(tokenizer.encode("a\u180eb").size(), 5U);
  EXPECT_EQ(tokenizer.encode("a\u0085\u2003\u3000b").size(), 2U);
}

TEST(TokenizerJson, PrefixSpace) {
  Json file = byte_tokenizer();
  file["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"use_regex", true}};
  EXPECT_EQ(from_json(file).encode("ab c"), (Ids{32, 256, 32, 99}));
  EXPECT_EQ(from_json(file).encode(" ab"), (Ids{32, 256}));
}

TEST(TokenizerJson, AddedTokens) {
  Json file = byte_tokenizer();
  const auto token = [](int id, const char* content, std::initializer_list<const char*> flags) {
    Json entry = {{"id", id}, {"content", content}, {"normalized", false}};
    for (const char* flag : flags)
      entry[flag] = true;
    return entry;
  };
  file["added_tokens"] =
      Json::array({token(300, "<x>", {}), token(301, "<x><y>", {}), token(302, "<l>", {"lstrip"}),
                   token(303, "<r>", {"rstrip"}), token(304, "<w>", {"single_word"})});
  const Tokenizer tokenizer = from_json(file);
  EXPECT_EQ(tokenizer.encode("<x><y><x>"), (Ids{301, 300}));
  EXPECT_EQ(tokenizer.encode("a \n<l> b"), (Ids{97, 302, 32, 98}));
  EXPECT_EQ(tokenizer.encode("a <r>\u3000 b"), (Ids{97, 32, 303, 98}));
  EXPECT_EQ(tokenizer.encode("<r> <l>"), (Ids{303, 302}));
  EXPECT_EQ(tokenizer.encode("!<w>!"), (Ids{33, 304, 33}));
  EXPECT_EQ(tokenizer.encode("a<w>"), (Ids{97, 60, 119, 62}));
  EXPECT_EQ(tokenizer.token_to_id("<w>"), 304);
  EXPECT_EQ(tokenizer.vocab_size(), 263U);
}

TEST(TokenizerJson, NormalizedAddedTokens) {
  Json file = byte_tokenizer();
  file["normalizer"] = {{"type", "NFC"}};
  file["added_tokens"] = Json::array({{{"id", 300}, {"content", "\u304c"}, {"normalized", false}},
                                      {{"id", 301}, {"content", "o\u0302"}, {"normalized", true}}});
  const Tokenizer tokenizer = from_json(file);
  EXPECT_EQ(tokenizer.encode("\u304c"), (Ids{300}));
  EXPECT_EQ(tokenizer.encode("\u304b\u3099"),
            (Ids{0xE3, 0x81, 0x8C}));  // composed after the raw pass
  EXPECT_EQ(tokenizer.encode("o\u0302\u00f4"), (Ids{301, 301}));
}

TEST(TokenizerJson, PostProcessorOnRequest) {
  Json file = byte_tokenizer();
  file["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single", Json::array({{{"SpecialToken", {{"id", "a"}}}},
                              {{"Sequence", {{"id", "A"}}}},
                              {{"SpecialToken", {{"id", "b"}}}}})},
      {"special_tokens", {{"a", {{"ids", {97}}}}, {"b", {{"ids", {98, 99}}}}}}};
  const Tokenizer tokenizer = from_json(file);
  EXPECT_EQ(tokenizer.encode("!"), (Ids{33}));
  EXPECT_EQ(tokenizer.encode("!", SpecialTokens::take_in), (Ids{97, 33, 98, 99}));
  EXPECT_EQ(tokenizer.special_token_edges().before, 1U);
  EXPECT_EQ(tokenizer.special_token_edges().behind, 2U);
}

TEST(TokenizerJson, UnknownBytes) {
  Json file = byte_tokenizer();
  file["model"]["vocab"].erase("!");
  EXPECT_THROW(from_json(file).encode("a!"), Error);
  file["model"]["unk_token"] = "a";
  EXPECT_EQ(from_json(file).encode("!!b"), (Ids{97, 256}));  // merges see it like any token
  file["model"]["fuse_unk"] = true;
  EXPECT_EQ(from_json(file).encode("!!"), (Ids{97}));
}

TEST(ByteLevel, SpellsEveryByte) {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte)
    bytes.push_back(static_cast<char>(byte));
  EXPECT_EQ(unspell_bytes(spell_bytes(bytes)), bytes);
  EXPECT_EQ(spell_bytes(" \n"), "\u0120\u010a");
  EXPECT_EQ(unspell_bytes("\u2581a"), "\u2581a");
}

}  // namespace
}  // namespace flux2
