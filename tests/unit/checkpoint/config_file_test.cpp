#include "checkpoint/config_file.h"

#include <gtest/gtest.h>

#include "support.h"

namespace flux2::test {
namespace {

using Integers = std::vector<std::int64_t>;
using Texts = std::vector<std::string>;

ConfigFile parse(std::string_view json) {
  return ConfigFile::parse(json, "config.json");
}

TEST(ConfigFile, ReadsEveryType) {
  const ConfigFile config = parse(R"({"int": 7, "float": 2.5, "whole": 3.0, "yes": true,
    "text": "mü", "list": [1, -2], "texts": ["a", null], "none": null, "part": {"deep": {"x": 1}}})");
  EXPECT_EQ(config.name(), "config.json");
  EXPECT_EQ(config.integer("int", 7, 7), 7);
  EXPECT_EQ(config.number("float", 0, 3), 2.5);
  EXPECT_EQ(config.number("int", 0, 10), 7.0);
  EXPECT_TRUE(config.flag("yes"));
  EXPECT_EQ(config.text("text"), "mü");
  EXPECT_EQ(config.integers("list", -2, 1), (Integers{1, -2}));
  EXPECT_EQ(config.texts("texts"), (Texts{"a", ""}));
  EXPECT_EQ(config.section("part").section("deep").integer("x", 0, 1), 1);
  EXPECT_TRUE(config.has("part"));
  EXPECT_FALSE(config.has("none"));
  EXPECT_TRUE(config.is_list("list"));
  EXPECT_FALSE(config.is_list("text"));
  EXPECT_EQ(config.section("part").keys(), Texts{"deep"});
}

TEST(ConfigFile, FallsBackWhereAbsentOrNull) {
  const ConfigFile config = parse(R"({"none": null})");
  for (const char* key : {"none", "absent"}) {
    EXPECT_EQ(config.integer(key, 0, 1, 9), 9);
    EXPECT_EQ(config.number(key, 0, 1, 9.5), 9.5);
    EXPECT_TRUE(config.flag(key, true));
    EXPECT_EQ(config.text(key, "x"), "x");
    EXPECT_EQ(config.integers(key, 0, 1, Integers{4}), Integers{4});
    EXPECT_EQ(config.texts(key, Texts{}), Texts{});
    EXPECT_TRUE(config.section(key).keys().empty());
  }
}

TEST(ConfigFile, OutlivesTheFileItIsASectionOf) {
  const ConfigFile part = [] { return parse(R"({"a": {"b": 5}})").section("a"); }();
  EXPECT_EQ(part.integer("b", 0, 9), 5);
}

TEST(ConfigFile, NamesFileAndKeyOfEveryMisfit) {
  const ConfigFile config = parse(R"({"a": {"text": "x", "big": 18446744073709551615, "half": 0.5,
    "list": [1, "b"], "int": 12, "long": ")" +
                                  std::string(1000, 'y') + R"("}, "b": 3})");
  const ConfigFile a = config.section("a");
  const auto expect = [](const std::function<void()>& body, std::string_view part) {
    const std::string line = refusal_of(body);
    expect_part(line, "config.json: ");
    expect_part(line, part);
  };
  expect([&] { a.integer("text", 0, 1); }, R"("a.text" is "x", not a whole number from 0 to 1)");
  expect([&] { a.integer("big", 0, INT64_MAX); }, R"("a.big" is 18446744073709551615)");
  expect([&] { a.integer("big", -1, INT64_MAX); }, R"("a.big")");
  expect([&] { a.integer("half", 0, 1); }, R"("a.half" is 0.5)");
  expect([&] { a.integer("int", 0, 11); }, R"("a.int" is 12, not a whole number from 0 to 11)");
  expect([&] { a.integer("int", 13, 20); }, R"("a.int")");
  expect([&] { a.integer("none", 0, 1); }, R"("a.none" is missing)");
  expect([&] { a.number("text", 0, 1); }, R"("a.text" is "x", not a number)");
  expect([&] { a.number("int", 0, 1); }, R"("a.int" is 12)");
  expect([&] { a.flag("int"); }, R"("a.int" is 12, not true or false)");
  expect([&] { a.text("int"); }, R"("a.int" is 12, not a text)");
  expect([&] { a.integers("int", 0, 1); }, R"("a.int" is 12, not a list)");
  expect([&] { a.integers("list", 0, 1); }, R"("a.list[1]" is "b")");
  expect([&] { a.texts("list"); }, R"("a.list[0]" is 1, not a text)");
  expect([&] { a.flag("list"); }, R"("a.list" is a list)");
  expect([&] { a.flag("long"); }, "yyy...");
  expect([&] { config.section("b"); }, R"("b" is 3, not an object)");
}

TEST(ConfigFile, RefusesWhatIsNoConfig) {
  const auto expect = [](std::string_view json, std::string_view part) {
    const std::string line = refusal_of([&] { parse(json); });
    expect_part(line, "config.json: ");
    expect_part(line, part);
  };
  expect("", "not JSON at its byte");
  expect("{", "not JSON");
  expect("[1]", "not a JSON object");
  expect("null", "not a JSON object");
  expect("{} x", "not JSON");
  expect(R"({"a": NaN})", "not JSON");
  expect(R"({"a": Infinity})", "not JSON");
  expect(R"({"a": 1e999})", "too large");
  expect("{\"a\xFF\": 1}", "not JSON");
  expect(R"({"a": 1, "a": 2})", R"("a" twice)");
  expect(R"({"x": [{"b": 1, "b": 2}]})", R"("b" twice)");
  expect(R"({"a": )" + std::string(1'000'000, '['), "nests more than");
  std::string deep;
  for (int i = 0; i < 1'000'000; ++i)
    deep += R"({"a":)";
  expect(deep, "nests more than");
  expect(std::string(16'000'001, ' '), "over the limit of 16000000");
}

TEST(ConfigFile, TheSameKeyInDifferentObjectsIsFine) {
  EXPECT_EQ(parse(R"({"a": {"a": {"a": 1}}, "b": [{"a": 1}, {"a": 2}]})").keys().size(), 2u);
}

TEST(ConfigFile, ReadsFilesAndNamesMissingOnes) {
  const TemporaryFolder folder;
  write_text(folder / "config.json", R"({"a": 1})");
  EXPECT_EQ(ConfigFile::read(folder / "config.json").integer("a", 0, 1), 1);
  expect_part(refusal_of([&] { ConfigFile::read(folder / "none.json"); }), "none.json");
  expect_part(refusal_of([&] { ConfigFile::read(folder.path()); }), folder.path().string());
}

}  // namespace
}  // namespace flux2::test
