// Damaged and unsupported files: one clear error each, never a crash.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <functional>

#include "flux2/error.h"
#include "tokenizer_fixtures.h"
#include "tokenizers/tokenizer.h"

namespace flux2 {
namespace {

using testing::byte_tokenizer;
using testing::Json;

/// `load` must throw bad_file, name the file and say `part`.
void expect_bad_file(const std::function<void()>& load, const std::string& part) {
  try {
    load();
    ADD_FAILURE() << "accepted, though " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_file) << error.what();
    EXPECT_EQ(error.where(), "test.json") << error.what();
    EXPECT_NE(error.message().find(part), std::string::npos) << error.what();
  }
}

struct Damage {
  const char* name;
  std::function<void(Json&)> edit;
  const char* message;
};

class DamagedTokenizerJson : public ::testing::TestWithParam<Damage> {};

TEST_P(DamagedTokenizerJson, IsOneClearError) {
  Json file = byte_tokenizer();
  ASSERT_NO_THROW(testing::from_json(file));
  GetParam().edit(file);
  expect_bad_file([&] { testing::from_json(file); }, GetParam().message);
}

Json nested_sequence(int depth) {
  Json stage = {{"type", "ByteLevel"}};
  for (int i = 0; i < depth; ++i) {
    stage = {{"type", "Sequence"}, {"pretokenizers", Json::array({std::move(stage)})}};
  }
  return stage;
}

Json& split_of(Json& file) {
  return file["pre_tokenizer"]["pretokenizers"][0];
}

const std::vector<Damage>& damages() {
  static const std::vector<Damage> all{
      {"NoModel", [](Json& f) { f.erase("model"); }, "'model' is missing"},
      {"NoVocabulary", [](Json& f) { f["model"].erase("vocab"); }, "'vocab' is missing"},
      {"VocabularyIsList", [](Json& f) { f["model"]["vocab"] = Json::array(); }, "no object"},
      {"NoMerges", [](Json& f) { f["model"].erase("merges"); }, "'merges' is missing"},
      {"UnknownMerge", [](Json& f) { f["model"]["merges"].push_back("a zz"); },
       "needs the token 'zz'"},
      {"UnknownResult", [](Json& f) { f["model"]["merges"].push_back("a c"); },
       "needs the token 'ac'"},
      {"MergeOfOne", [](Json& f) { f["model"]["merges"].push_back("a"); }, "merge 2, 'a'"},
      {"MergeOfThree",
       [](Json& f) {
         f["model"]["merges"].push_back({"a", "b", "c"});
       },
       "merge 2 is no pair"},
      {"NegativeId", [](Json& f) { f["model"]["vocab"]["new"] = -1; }, "'new' is -1"},
      {"HugeId", [](Json& f) { f["model"]["vocab"]["new"] = 2147483647; }, "2147483647"},
      {"HugerId", [](Json& f) { f["model"]["vocab"]["new"] = 18446744073709551615ULL; },
       "no integer"},
      {"FractionalId", [](Json& f) { f["model"]["vocab"]["new"] = 1.5; }, "no integer"},
      {"SharedId", [](Json& f) { f["model"]["vocab"]["new"] = 97; }, "share the id 97"},
      {"WordPiece", [](Json& f) { f["model"]["type"] = "WordPiece"; }, "'WordPiece'"},
      {"Dropout", [](Json& f) { f["model"]["dropout"] = 0.1; }, "dropout"},
      {"Prefix", [](Json& f) { f["model"]["continuing_subword_prefix"] = "##"; }, "prefix"},
      {"NoUnknown", [](Json& f) { f["model"]["unk_token"] = "<unk>"; }, "'<unk>' has no id"},
      {"Lowercase",
       [](Json& f) {
         f["normalizer"] = {{"type", "Lowercase"}};
       },
       "'Lowercase'"},
      {"NoPreTokenizer", [](Json& f) { f.erase("pre_tokenizer"); }, "'pre_tokenizer' is missing"},
      {"NoByteLevel", [](Json& f) { f["pre_tokenizer"]["pretokenizers"].erase(1); },
       "without ByteLevel"},
      {"Metaspace",
       [](Json& f) {
         f["pre_tokenizer"] = {{"type", "Metaspace"}};
       },
       "'Metaspace'"},
      {"StageIsNumber", [](Json& f) { f["pre_tokenizer"] = 3; }, "'type' is missing"},
      {"DeepNesting", [](Json& f) { f["pre_tokenizer"] = nested_sequence(100); }, "too deeply"},
      {"OpenGroup", [](Json& f) { split_of(f)["pattern"]["Regex"] = "(a"; }, "does not compile"},
      {"ClassInClass", [](Json& f) { split_of(f)["pattern"]["Regex"] = "[a[b]]"; },
       "character classes"},
      {"HugeRepeat", [](Json& f) { split_of(f)["pattern"]["Regex"] = "((a{999}){999}){999}"; },
       "does not compile"},
      {"LongPattern", [](Json& f) { split_of(f)["pattern"]["Regex"] = std::string(20000, 'a'); },
       "too long"},
      {"NoPattern", [](Json& f) { split_of(f).erase("pattern"); }, "'pattern' is missing"},
      {"Merged", [](Json& f) { split_of(f)["behavior"] = "MergedWithPrevious"; },
       "MergedWithPrevious"},
      {"AddedConflict",
       [](Json& f) {
         f["added_tokens"] = {{{"id", 98}, {"content", "a"}}};
       },
       "contradicts"},
      {"AddedTaken",
       [](Json& f) {
         f["added_tokens"] = {{{"id", 97}, {"content", "<x>"}}};
       },
       "contradicts"},
      {"AddedWithoutId",
       [](Json& f) {
         f["added_tokens"] = {{{"content", "<x>"}}};
       },
       "'id' is missing"},
      {"AddedTooLong",
       [](Json& f) {
         f["added_tokens"] = {{{"id", 300}, {"content", std::string(5000, 'x')}}};
       },
       "5000 bytes long"},
      {"TemplateWithoutText",
       [](Json& f) {
         f["post_processor"] = {{"type", "TemplateProcessing"}, {"single", Json::array()}};
       },
       "leaves its text out"},
      {"BertProcessing",
       [](Json& f) {
         f["post_processor"] = {{"type", "BertProcessing"}};
       },
       "'BertProcessing'"},
  };
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, DamagedTokenizerJson, ::testing::ValuesIn(damages()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(TokenizerErrors, TruncatedAtEveryTenthByte) {
  const std::string whole = byte_tokenizer().dump();
  for (std::size_t size = 0; size < whole.size(); size += 10) {
    expect_bad_file([&] { Tokenizer::from_json(whole.substr(0, size), "test.json"); },
                    "no valid JSON");
  }
}

TEST(TokenizerErrors, DeepJson) {
  const std::string deep(1'000'000, '[');
  expect_bad_file([&] { Tokenizer::from_json(deep, "test.json"); }, "no valid JSON");
  const std::string closed = deep + std::string(deep.size(), ']');
  expect_bad_file([&] { Tokenizer::from_json(closed, "test.json"); }, "is missing");
}

// Exponential backtracking ends in an error and not in a hang.
TEST(TokenizerErrors, PatternWithoutEnd) {
  Json file = byte_tokenizer();
  split_of(file)["pattern"]["Regex"] = "(a+)+[bc]";
  const Tokenizer tokenizer = testing::from_json(file);
  expect_bad_file([&] { tokenizer.encode(std::string(64, 'a')); }, "gave up");
}

TEST(TokenizerErrors, Tekken) {
  const Json good = {{"config", {{"pattern", "\\s+"}, {"default_num_special_tokens", 25}}},
                     {"vocab", Json::array({{{"rank", 0}, {"token_bytes", "YQ=="}}})}};
  EXPECT_EQ(testing::from_json(good).encode("aa"), (testing::Ids{25, 25}));
  const auto expect = [&](const std::function<void(Json&)>& edit, const char* message) {
    Json file = good;
    edit(file);
    expect_bad_file([&] { testing::from_json(file); }, message);
  };
  expect([](Json& f) { f["config"].erase("pattern"); }, "'pattern' is missing");
  expect([](Json& f) { f.erase("vocab"); }, "'vocab' is missing");
  expect([](Json& f) { f["vocab"][0]["rank"] = 7; }, "another rank");
  expect([](Json& f) { f["vocab"][0]["token_bytes"] = "*!"; }, "no base64");
  expect([](Json& f) { f["vocab"][0]["token_bytes"] = ""; }, "0 bytes");
  expect([](Json& f) { f["config"]["default_num_special_tokens"] = 1'000'000'000; }, "1000000000");
  expect([](Json& f) { f["config"]["default_num_special_tokens"] = 3; }, "do not fit");
  expect([](Json& f) { f["special_tokens"] = {{{"rank", 4}, {"token_str", "<s>"}}}; }, "rank 4");
}

class TokenizerFolder : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void write(const char* name, const std::string& content) const {
    std::ofstream(folder_ / name, std::ios::binary) << content;
  }

  std::filesystem::path folder_ = std::filesystem::path(::testing::TempDir()) /
                                  ("flux2_tokenizer_" + std::to_string(::getpid()));
};

TEST_F(TokenizerFolder, EmptyIsAnError) {
  try {
    Tokenizer::load(folder_);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_file);
    EXPECT_EQ(error.where(), folder_.string());
  }
}

TEST_F(TokenizerFolder, ConfigurationIsRead) {
  write("tokenizer.json", byte_tokenizer().dump());
  write("tokenizer_config.json",
        R"({"pad_token": {"content": "!"}, "padding_side": "left", "truncation_side": "left",
            "added_tokens_decoder": {"400": {"content": "<new>", "special": true}}})");
  write("chat_template.jinja", "template");
  const Tokenizer tokenizer = Tokenizer::load(folder_);
  EXPECT_EQ(tokenizer.settings().pad_token, "!");
  EXPECT_EQ(tokenizer.settings().padding_side, Side::left);
  EXPECT_EQ(tokenizer.settings().truncation_side, Side::left);
  EXPECT_EQ(tokenizer.settings().chat_template, "template");
  EXPECT_EQ(tokenizer.encode("a<new>"), (testing::Ids{97, 400}));
  for (const char* bad : {"[", "[]", R"({"padding_side": "up"})", R"({"pad_token": 3})",
                          R"({"added_tokens_decoder": {"x": {"content": "y"}}})"}) {
    write("tokenizer_config.json", bad);
    EXPECT_THROW(Tokenizer::load(folder_), Error) << bad;
  }
}

TEST_F(TokenizerFolder, VocabAndMerges) {
  write("vocab.json", byte_tokenizer()["model"]["vocab"].dump());
  write("merges.txt", "#version: 0.2\na b\r\nab c\n");
  EXPECT_EQ(Tokenizer::load(folder_).encode("abc"), (testing::Ids{257}));
  write("merges.txt", "a b c\n");
  EXPECT_THROW(Tokenizer::load(folder_), Error);
}

}  // namespace
}  // namespace flux2
