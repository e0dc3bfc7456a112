#include "checkpoint/gguf.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>

#include "draft.h"
#include "gguf_bytes.h"

namespace flux2::test {
namespace {

GgufFile parse(const std::string& bytes) {
  return parse_gguf(std::as_bytes(std::span(bytes)), nullptr, "file.gguf");
}

void expect_refusal(const std::string& bytes, std::string_view part) {
  expect_part(refusal_of([&] { parse(bytes); }), part);
}

std::string refusal_of_tensor(const GgufTensor& tensor) {
  return refusal_of([&] { parse(GgufBytes().tensor(tensor).text()); });
}

TEST(Gguf, EveryTypeGivesTheNumbersOfTheGgufPackage) {
  const GgufFile file = read_gguf(test_data("blocks.gguf"));
  const SafetensorsFile expected = read_safetensors(test_data("blocks.safetensors"));
  ASSERT_EQ(expected.tensors.size(), 17u);
  for (const auto& [name, numbers] : expected.tensors) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(file.tensors.contains(name));
    const StoredTensor& tensor = file.tensors.at(name);
    EXPECT_EQ(tensor.shape, numbers.shape);
    EXPECT_TRUE(name == "reshaped" || encoding_of(tensor) == name);
    const std::vector<float> values = to_vector(to_host_tensor(tensor));
    ASSERT_EQ(values.size() * sizeof(float), numbers.bytes.size());
    EXPECT_EQ(std::memcmp(values.data(), numbers.bytes.data(), numbers.bytes.size()), 0);
  }
  EXPECT_EQ(file.tensors.at("I32").dtype, DType::i32);
  EXPECT_FALSE(holds_numbers(file.tensors.at("I32")));
}

TEST(Gguf, RowsMayBeReadAloneAndInsideBlocks) {
  const GgufFile file = read_gguf(test_data("blocks.gguf"));
  for (const auto& [name, tensor] : file.tensors) {
    if (!holds_numbers(tensor)) continue;
    SCOPED_TRACE(name);
    const std::vector<float> all = to_vector(to_host_tensor(tensor));
    const std::int64_t width = row_elements(tensor);
    for (std::int64_t row = 0; row < tensor.shape[0]; ++row) {
      std::vector<float> one(static_cast<std::size_t>(width));
      read_rows(tensor, row, 1, one.data());
      EXPECT_TRUE(std::equal(one.begin(), one.end(), all.begin() + row * width)) << row;
    }
  }
}

TEST(Gguf, MetadataOfEveryKind) {
  const Metadata metadata = read_gguf(test_data("blocks.gguf")).metadata;
  EXPECT_EQ(*metadata.text("general.architecture"), "flux");
  EXPECT_EQ(metadata.integer("test.u8"), 200);
  EXPECT_EQ(metadata.integer("test.i8"), -100);
  EXPECT_EQ(metadata.integer("test.u16"), 60000);
  EXPECT_EQ(metadata.integer("test.i16"), -30000);
  EXPECT_EQ(metadata.integer("test.u32"), 4000000000);
  EXPECT_EQ(metadata.integer("test.i32"), -2000000000);
  EXPECT_EQ(metadata.integer("test.u64"), INT64_MAX);
  EXPECT_EQ(metadata.integer("test.i64"), -(std::int64_t{1} << 62));
  EXPECT_EQ(metadata.number("test.f32"), 0.5);
  EXPECT_EQ(metadata.number("test.f64"), 0.1);
  EXPECT_EQ(metadata.number("test.u8"), 200.0);
  EXPECT_EQ(metadata.flag("test.bool"), true);
  EXPECT_EQ(*metadata.text("test.text"), "größer");
  EXPECT_EQ(*metadata.texts("test.texts"), (std::vector<std::string>{"a", "", "Ġb"}));
  EXPECT_EQ(*metadata.integers("test.integers"), (std::vector<std::int64_t>{3, -1, 2}));
  EXPECT_EQ(*metadata.numbers("test.numbers"), (std::vector<double>{0.5, -2.0}));
  EXPECT_EQ(*metadata.integers("test.flags"), (std::vector<std::int64_t>{1, 0}));
  EXPECT_FALSE(metadata.has("test.absent"));
  EXPECT_EQ(metadata.text("test.u8"), nullptr);
  EXPECT_EQ(metadata.integer("test.text"), std::nullopt);
}

TEST(Gguf, ListsOfListsArePassedOver) {
  GgufBytes bytes;
  // two lists: {1, 2} of u8, {"ab"} of text
  bytes.pair("nested", kGgufList,
             number_bytes<std::uint32_t>(kGgufList) + number_bytes<std::uint64_t>(2) +
                 number_bytes<std::uint32_t>(kGgufU8) + number_bytes<std::uint64_t>(2) + "\1\2" +
                 number_bytes<std::uint32_t>(kGgufText) + number_bytes<std::uint64_t>(1) +
                 text_bytes("ab"));
  bytes.pair("after", kGgufU8, "\7");
  const GgufFile file = parse(bytes.text());
  EXPECT_FALSE(file.metadata.has("nested"));
  EXPECT_EQ(file.metadata.integer("after"), 7);
}

TEST(Gguf, ReadsVersionTwoAndOtherAlignments) {
  GgufBytes bytes(2);
  bytes.pair("general.alignment", kGgufU32, number_bytes<std::uint32_t>(64));
  bytes.tensor({.name = "a", .dims = {2}, .data = number_bytes(1.5f) + number_bytes(-2.0f)});
  bytes.tensor({.name = "b", .dims = {1}, .offset = 64, .data = number_bytes(3.0f)});
  const GgufFile file = parse(bytes.text(64));
  EXPECT_EQ(to_vector(to_host_tensor(file.tensors.at("a"))), (std::vector<float>{1.5f, -2.0f}));
  EXPECT_EQ(to_vector(to_host_tensor(file.tensors.at("b"))), std::vector<float>{3.0f});
}

TEST(Gguf, EveryTruncationIsRefused) {
  const std::string whole = read_text(test_data("blocks.gguf"));
  const std::size_t last_block = whole.size() - 1;
  for (std::size_t size = 0; size < whole.size(); size += size < 2000 ? 1 : 997)
    refusal_of([&] { parse(whole.substr(0, size)); });
  refusal_of([&] { parse(whole.substr(0, last_block / 2)); });
}

TEST(Gguf, RefusesOtherVersionsAndByteOrders) {
  expect_refusal(GgufBytes(1).text(), "version 1; versions 2 and 3 are read");
  expect_refusal(GgufBytes(4).text(), "version 4");
  expect_refusal(GgufBytes(3u << 24).text(), "big-endian");
  expect_refusal("GGUX" + GgufBytes().text().substr(4), "does not begin with");
}

TEST(Gguf, RefusesCountsBeyondTheFile) {
  std::string bytes = GgufBytes().text();
  const std::string huge = number_bytes<std::uint64_t>(std::uint64_t{1} << 62);
  expect_refusal(bytes.substr(0, 8) + huge + bytes.substr(16),
                 "claims 4611686018427387904 tensors");
  expect_refusal(bytes.substr(0, 16) + huge, "metadata pairs");
  const std::string length = number_bytes<std::uint64_t>(UINT64_MAX);
  expect_refusal(GgufBytes().pair("k", kGgufText, length).text(), "ends inside a metadata text");
  expect_refusal(
      GgufBytes().pair("k", kGgufList, number_bytes<std::uint32_t>(kGgufU64) + length).text(),
      "elements of a metadata list");
}

TEST(Gguf, RefusesMetadataItCannotUnderstand) {
  expect_refusal(GgufBytes().pair("k", 13, "").text(), "\"k\" has the unknown value type 13");
  expect_refusal(GgufBytes().pair("k", kGgufU8, "1").pair("k", kGgufU8, "2").text(),
                 "\"k\" is there twice");
  std::string deep;
  for (int i = 0; i < 6; ++i)
    deep += number_bytes<std::uint32_t>(kGgufList) + number_bytes<std::uint64_t>(1);
  expect_refusal(GgufBytes().pair("k", kGgufList, deep + std::string(64, '\0')).text(),
                 "nests lists");
  for (const std::uint32_t alignment : {0u, 3u, 48u, 1u << 31}) {
    expect_refusal(GgufBytes().pair("general.alignment", kGgufU32, number_bytes(alignment)).text(),
                   "not a power of two");
  }
}

TEST(Gguf, RefusesTypesByName) {
  const std::string named =
      refusal_of_tensor({.name = "w", .dims = {256}, .type = 16, .data = std::string(66, '\0')});
  expect_part(named, "tensor \"w\" is stored as IQ2_XXS, which is not supported");
  const std::string future =
      refusal_of_tensor({.name = "w", .dims = {256}, .type = 77, .data = std::string(66, '\0')});
  expect_part(future, "tensor \"w\" has the unknown type number 77");
  expect_part(future, "newer than this program");
}

TEST(Gguf, RefusesShapesThatCannotBe) {
  expect_part(refusal_of_tensor({.name = "w", .dims = {100}, .type = 8, .data = "x"}),
              "rows of 100 numbers, which are not whole Q8_0 blocks of 32");
  expect_part(refusal_of_tensor({.name = "w", .dims = {1ull << 40, 1ull << 40}}),
              "impossible dimension");
  expect_part(refusal_of_tensor({.name = "w", .dims = {1ull << 63}}), "impossible dimension");
  expect_part(refusal_of_tensor({.name = "w", .dims = {0, 1ull << 62, 1ull << 62}}),
              "impossible dimension");
  expect_part(refusal_of_tensor({.name = "w", .dims = {1ull << 62}}), "impossibly large");
  expect_part(refusal_of_tensor({.name = "w", .dims = {1, 1, 1, 1, 1, 1, 1}}), "7 dimensions");
}

TEST(Gguf, RefusesOffsetsThatCannotBe) {
  const std::string one = number_bytes(1.0f);
  expect_part(refusal_of_tensor({.name = "w", .dims = {1}, .offset = 16, .data = one}),
              "not a multiple of 32");
  expect_part(refusal_of_tensor({.name = "w", .dims = {64}, .data = one}),
              "takes 256 bytes from byte 0 of the data on, which has only");
  expect_part(refusal_of_tensor({.name = "w", .dims = {1}, .offset = ~31ull, .data = one}),
              "which has only");
  GgufBytes overlap;
  overlap.tensor({.name = "a", .dims = {16}, .data = std::string(64, '\0')});
  overlap.tensor({.name = "b", .dims = {8}, .offset = 32, .data = ""});
  expect_refusal(overlap.text(), "tensor \"b\" lies inside tensor \"a\"");
  GgufBytes twice;
  twice.tensor({.name = "a", .dims = {1}, .data = one});
  twice.tensor({.name = "a", .dims = {1}, .offset = 32, .data = one});
  expect_refusal(twice.text(), "\"a\" is there twice");
}

TEST(Gguf, RefusesAnOriginalShapeOfAnotherSize) {
  GgufBytes bytes;
  bytes.pair("comfy.gguf.orig_shape.w", kGgufList,
             number_bytes<std::uint32_t>(kGgufU32) + number_bytes<std::uint64_t>(2) +
                 number_bytes<std::uint32_t>(3) + number_bytes<std::uint32_t>(2));
  bytes.tensor({.name = "w", .dims = {4}, .data = std::string(16, '\0')});
  expect_refusal(bytes.text(), "original shape");
}

// The nibbles of a block are its two halves, not neighbours: the order that peers get wrong.
TEST(Gguf, LowNibblesComeFirst) {
  std::string block = number_bytes<std::uint16_t>(0x3C00) + std::string(16, '\x98');  // 1.0
  block[2] = '\x7F';
  GgufBytes bytes;
  bytes.tensor({.name = "w", .dims = {32}, .type = 2, .data = block});
  const std::vector<float> values = to_vector(to_host_tensor(parse(bytes.text()).tensors.at("w")));
  EXPECT_EQ(values[0], 7.0f);    // low nibble 15
  EXPECT_EQ(values[16], -1.0f);  // high nibble 7
  EXPECT_EQ(values[1], 0.0f);
  EXPECT_EQ(values[17], 1.0f);
}

}  // namespace
}  // namespace flux2::test
