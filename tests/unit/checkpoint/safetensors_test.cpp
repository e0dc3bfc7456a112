#include "checkpoint/safetensors.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <limits>
#include <numeric>

#include "checkpoint/checkpoint.h"
#include "support.h"

namespace flux2::test {
namespace {

namespace fs = std::filesystem;

TEST(Safetensors, KeepsWhatWasWritten) {
  const TemporaryFolder folder;
  std::vector<float> values(24);
  std::iota(values.begin(), values.end(), -7.5f);
  const Tensor matrix = make_host_tensor({4, 6}, values);
  Tensor halves = make_host_tensor({3}, DType::bf16);
  for (int i = 0; i < 3; ++i)
    halves.bf16()[i] = BFloat16(0.25f * static_cast<float>(i));
  const Tensor scalar = make_host_tensor({}, std::array{3.0f});
  const Tensor empty = make_host_tensor({0, 5});
  const fs::path path = folder / "file.safetensors";
  write_safetensors(path, {{"a", halves}, {"b", matrix}, {"scalar", scalar}, {"empty", empty}},
                    {{"made by", "a \"test\"\n"}});

  const SafetensorsFile file = read_safetensors(path);
  ASSERT_EQ(file.tensors.size(), 4u);
  EXPECT_EQ(file.metadata.at("made by"), "a \"test\"\n");
  const StoredTensor& read = file.tensors.at("b");
  EXPECT_EQ(read.shape, Shape({4, 6}));
  EXPECT_EQ(read.dtype, DType::f32);
  EXPECT_EQ(read.name, "b");
  EXPECT_EQ(read.file, path.string());
  EXPECT_EQ(to_vector(to_host_tensor(read)), values);
  EXPECT_EQ(file.tensors.at("a").dtype, DType::bf16);
  EXPECT_EQ(to_vector(read_host_tensor(path, "a")), (std::vector<float>{0.0f, 0.25f, 0.5f}));
  EXPECT_EQ(read_host_tensor(path, "scalar").rank(), 0);
  EXPECT_EQ(file.tensors.at("empty").shape, Shape({0, 5}));
}

TEST(Safetensors, TensorsOutliveTheFileThatWasRead) {
  const TemporaryFolder folder;
  const fs::path path = folder / "file.safetensors";
  write_safetensors(path, {{"a", make_host_tensor({2}, std::array{1.0f, 2.0f})}});
  StoredTensor tensor = read_safetensors(path).tensors.at("a");
  fs::remove(path);
  prefetch(tensor);
  EXPECT_EQ(to_vector(to_host_tensor(tensor)), (std::vector<float>{1.0f, 2.0f}));
  drop_pages(tensor);
  EXPECT_EQ(to_vector(to_host_tensor(tensor)), (std::vector<float>{1.0f, 2.0f}));
}

TEST(Safetensors, TakesTensorsInAnyOrderUnalignedAndPadded) {
  std::string bytes =
      safetensors_bytes(R"({"second":{"dtype":"F32","shape":[1],"data_offsets":[1,5]},)"
                        R"("first":{"shape":[1],"data_offsets":[0,1],"dtype":"U8"}}   )",
                        1);
  const float value = 1.5f;
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
  const SafetensorsFile file = parse_safetensors(std::as_bytes(std::span(bytes)), nullptr, "file");
  EXPECT_EQ(to_vector(to_host_tensor(file.tensors.at("second"))), std::vector<float>{1.5f});
}

TEST(Safetensors, ReadsEveryGoldenFile) {
  std::size_t files = 0;
  std::size_t tensors = 0;
  for (const auto& entry :
       fs::recursive_directory_iterator(fs::path(FLUX2_SOURCE_DIR) / "tests/goldens/data")) {
    if (entry.path().extension() != ".safetensors") continue;
    const SafetensorsFile file = read_safetensors(entry.path());
    for (const auto& [name, tensor] : file.tensors) {
      EXPECT_EQ(tensor.bytes.size(), bytes_for(tensor.shape, tensor.dtype)) << name;
      if (is_floating(tensor.dtype)) to_host_tensor(tensor);
    }
    ++files;
    tensors += file.tensors.size();
  }
  EXPECT_GT(files, 40u);
  EXPECT_GT(tensors, 2000u);
}

std::string refusal_of_bytes(std::string_view bytes) {
  return refusal_of(
      [&] { parse_safetensors(std::as_bytes(std::span(bytes)), nullptr, "weights.safetensors"); });
}

TEST(Safetensors, RefusesEveryPrefix) {
  const TemporaryFolder folder;
  const fs::path path = folder / "file.safetensors";
  write_safetensors(path, {{"a", make_host_tensor({3})}, {"b", make_host_tensor({2, 2})}});
  const std::string whole = read_text(path);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write_text(path, std::string_view(whole).substr(0, size));
    expect_part(refusal_of([&] { read_safetensors(path); }), path.string());
  }
}

struct Damage {
  const char* what;
  std::string header;
  std::size_t data_bytes;
  const char* message;  // a part of it
};

class DamagedHeader : public testing::TestWithParam<Damage> {};

TEST_P(DamagedHeader, IsRefusedByNameOfFileAndTensor) {
  const Damage& damage = GetParam();
  const std::string line = refusal_of_bytes(safetensors_bytes(damage.header, damage.data_bytes));
  expect_part(line, "weights.safetensors");
  expect_part(line, damage.message);
}

// One entry "t" with these values.
std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"t":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}}";
}

// Two entries "s" and "t" of F32 with these shapes and offsets.
std::string pair(const std::string& s_shape, const std::string& s_offsets,
                 const std::string& t_shape, const std::string& t_offsets) {
  return R"({"s":{"dtype":"F32","shape":)" + s_shape + R"(,"data_offsets":)" + s_offsets +
         R"(},"t":{"dtype":"F32","shape":)" + t_shape + R"(,"data_offsets":)" + t_offsets + "}}";
}

std::string repeated(std::string_view text, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i)
    all += text;
  return all;
}

const Damage kDamages[] = {
    {"Overlap", pair("[2]", "[0,8]", "[2]", "[4,12]"), 12, R"("t" begins at byte 4, inside)"},
    {"SameBytes", pair("[2]", "[0,8]", "[2]", "[0,8]"), 8, R"(inside the tensor before it)"},
    {"Hole", pair("[2]", "[0,8]", "[1]", "[12,16]"), 16, R"("t" begins at byte 12, 4 bytes after)"},
    {"HoleAtTheStart", entry(R"("F32")", "[1]", "[4,8]"), 8, R"("t" begins at byte 4)"},
    {"BytesLeft", entry(R"("F32")", "[1]", "[0,4]"), 9, "5 bytes after its last tensor"},
    {"DataWithoutTensors", "{}", 3, "3 bytes after its last tensor"},
    {"PastTheEnd", entry(R"("F32")", "[2]", "[0,8]"), 7, R"("t" ends at byte 8 of the data)"},
    {"Reversed", entry(R"("F32")", "[1]", "[8,4]"), 8, R"("t" ends (4) before it begins (8))"},
    {"OneOffset", entry(R"("F32")", "[1]", "[0]"), 4, R"("t" has not exactly two offsets)"},
    {"ThreeOffsets", entry(R"("F32")", "[1]", "[0,4,8]"), 8, R"("t")"},
    {"WrongSize", entry(R"("F32")", "[3]", "[0,8]"), 8, R"("t" has 8 bytes, but F32 [3] takes 12)"},
    {"ZeroDimensionWithBytes", entry(R"("F32")", "[0,4]", "[0,4]"), 4, R"("t" has 4 bytes)"},
    {"Shape2To63", entry(R"("U8")", "[9223372036854775808]", "[0,0]"), 0, "impossible shape"},
    {"Shape2To64", entry(R"("U8")", "[18446744073709551616]", "[0,0]"), 0, R"("t")"},
    {"ProductOverflows", entry(R"("F32")", "[4294967296,4294967296]", "[0,0]"), 0,
     "impossible shape"},
    {"OverflowBesideZero", entry(R"("U8")", "[0,4294967296,4294967296]", "[0,0]"), 0,
     "impossible shape"},
    {"SizeOverflows", entry(R"("F64")", "[2305843009213693952]", "[0,0]"), 0, "impossible shape"},
    {"NegativeDimension", entry(R"("F32")", "[-1]", "[0,4]"), 4, "the number -1 is negative"},
    {"NegativeOffset", entry(R"("F32")", "[1]", "[-4,0]"), 4, R"("t")"},
    {"FractionalDimension", entry(R"("F32")", "[1.5]", "[0,4]"), 4, R"("t")"},
    {"HugeOffset", entry(R"("F32")", "[1]", "[18446744073709551612,18446744073709551615]"), 4,
     R"("t" ends at byte 18446744073709551615)"},
    {"SevenDimensions", entry(R"("F32")", "[1,1,1,1,1,1,1]", "[0,4]"), 4, "more than 6 dimensions"},
    {"UnknownType", entry(R"("F4")", "[1]", "[0,4]"), 4, R"("t" has the unknown type "F4")"},
    {"TypeIsANumber", entry("32", "[1]", "[0,4]"), 4, R"("t")"},
    {"TypeIsAList", entry("[]", "[1]", "[0,4]"), 4, R"("t")"},
    {"ShapeIsText", entry(R"("F32")", R"("1")", "[0,4]"), 4, R"("t")"},
    {"ShapeNests", entry(R"("F32")", "[[1]]", "[0,4]"), 4, R"("t")"},
    {"ShapeIsNull", entry(R"("F32")", "null", "[0,4]"), 4, R"("t")"},
    {"NoType", R"({"t":{"shape":[1],"data_offsets":[0,4]}})", 4, R"("t" has the wrong form)"},
    {"UnknownKey", R"({"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}})", 4, R"("x")"},
    {"KeyTwice", R"({"t":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4,
     R"("t")"},
    {"NameTwice",
     R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
     R"("t":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
     2, R"(tensor "t" is listed twice)"},
    {"EntryIsANumber", R"({"t":1})", 0, R"("t")"},
    {"MetadataHoldsANumber", R"({"__metadata__":{"a":1}})", 0, R"("__metadata__")"},
    {"MetadataNests", R"({"__metadata__":{"a":{}}})", 0, R"("__metadata__")"},
    {"MetadataTwice", R"({"__metadata__":{"a":"1","a":"2"}})", 0, R"("a" twice)"},
    {"EmptyHeader", "", 0, "not JSON"},
    {"List", "[]", 0, "wrong form"},
    {"Text", R"("text")", 0, "wrong form"},
    {"NotJson", "hello", 0, "not JSON at its byte"},
    {"TwoObjects", "{}{}", 0, "not JSON"},
    {"NotUtf8", "{\"\xFF\":1}", 0, "not JSON"},
    {"Nan", entry(R"("F32")", "[NaN]", "[0,4]"), 4, "not JSON"},
    {"NumberTooLarge", entry(R"("F32")", "[1e999]", "[0,4]"), 4, "weights.safetensors"},
    {"ControlCharactersInName", R"({"a\nb\u0007":1})", 0, R"("a?b?")"},
    {"MillionDeepObjects", repeated(R"({"a":)", 1'000'000), 0, R"("a")"},
    {"MillionDeepLists", R"({"a":)" + repeated("[", 1'000'000), 0, R"("a")"},
    {"LongName", R"({")" + repeated("n", 100'000) + R"(":1})", 0, "nnn...\""},
};

INSTANTIATE_TEST_SUITE_P(Safetensors, DamagedHeader, testing::ValuesIn(kDamages),
                         [](const auto& test) { return std::string(test.param.what); });

TEST(Safetensors, RefusesAnAbsurdHeaderLength) {
  std::string bytes = safetensors_bytes("{}");
  for (const std::uint64_t length :
       {std::uint64_t{1} << 63, ~std::uint64_t{0}, std::uint64_t{100'000'001}}) {
    std::memcpy(bytes.data(), &length, sizeof(length));
    expect_part(refusal_of_bytes(bytes), "claims a header of " + std::to_string(length));
  }
  const std::uint64_t longer_than_file = 3;
  std::memcpy(bytes.data(), &longer_than_file, sizeof(longer_than_file));
  expect_part(refusal_of_bytes(bytes), "ends inside its header");
}

TEST(Safetensors, RefusesTooManyTensors) {
  std::string header = "{";
  for (int i = 0; i <= 100'000; ++i) {
    header += (i == 0 ? "\"" : ",\"") + std::to_string(i) +
              R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  }
  expect_part(refusal_of_bytes(safetensors_bytes(header + "}")), "more than 100000 tensors");
}

TEST(Safetensors, KnowsAnLfsPointer) {
  expect_part(refusal_of_bytes("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
              "git lfs pull");
}

TEST(ReadHostTensor, SaysWhatThereIsAndWhatIsWrong) {
  const TemporaryFolder folder;
  const fs::path path = folder / "file.safetensors";
  const float nan = std::numeric_limits<float>::quiet_NaN();
  write_safetensors(path, {{"latents", make_host_tensor({3}, std::array{0.0f, 1.0f, nan})},
                           {"ids", make_host_tensor({2}, DType::i64)}});
  const std::string absent = refusal_of([&] { read_host_tensor(path, "prompt_embeds"); });
  expect_part(absent, "has no tensor \"prompt_embeds\"");
  expect_part(absent, "it holds \"ids\", \"latents\"");
  expect_part(refusal_of([&] { read_host_tensor(path, "ids"); }), "\"ids\" is of type I64");
  expect_part(refusal_of([&] { read_host_tensor(path, "latents"); }),
              "\"latents\" [3]: element 2 is NaN");
  expect_part(refusal_of([&] { read_host_tensor(folder / "none", "a"); }), "none");
}

}  // namespace
}  // namespace flux2::test
