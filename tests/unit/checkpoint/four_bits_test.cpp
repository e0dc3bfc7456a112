// bitsandbytes and SVDQuant: what contradicts itself is refused by name. What they give is held
// against their writers in companions_test.cpp.
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "checkpoint/encodings/svdquant_decoder.h"
#include "draft.h"

namespace flux2::test {
namespace {

constexpr const char* kNf4 = "x.weight.quant_state.bitsandbytes__nf4";

Draft nf4(
    const std::string& state = R"({"quant_type": "nf4", "blocksize": 64, "shape": [2, 64]})") {
  std::vector<float> table(16);
  for (std::size_t code = 0; code < table.size(); ++code)
    table[code] = static_cast<float>(code) / 15;
  Draft draft;
  draft.add("x.weight", {64, 1}, DType::u8, std::string(64, '\xF0'));
  draft.floats("x.weight.quant_map", {16}, table);
  draft.floats("x.weight.absmax", {2}, {1.0f, 3.0f});
  draft.text(kNf4, state);
  return draft;
}

TEST(Bitsandbytes, HighNibblesComeFirst) {
  const WeightsFile file = nf4().read();
  ASSERT_EQ(file.tensors.size(), 1u);
  EXPECT_EQ(file.tensors.at("x.weight").shape, Shape({2, 64}));
  EXPECT_EQ(row_of(file.tensors.at("x.weight"), 1)[0], 3.0f);
  EXPECT_EQ(row_of(file.tensors.at("x.weight"), 1)[1], 0.0f);
}

TEST(Bitsandbytes, PartsThatDoNotFit) {
  const auto without = [](const char* name) {
    Draft draft = nf4();
    draft.tensors.erase(name);
    return draft.refusal();
  };
  expect_part(without("x.weight.absmax"), "\"x.weight.absmax\" is missing");
  expect_part(without("x.weight.quant_map"), "\"x.weight.quant_map\" is missing");
  expect_part(without("x.weight"), "says how a weight is stored that is not there");
  expect_part(without(kNf4), "says how a weight is stored that is not there");
  expect_part(nf4().floats("x.weight.absmax", {3}, {1, 1, 1}).refusal(), "not 2 numbers of F32");
  expect_part(nf4().floats("x.weight.absmax", {2}, {1, NAN}).refusal(), "scale 1 is nan");
  expect_part(nf4().floats("x.weight.absmax", {2}, {-1, 1}).refusal(), "scale 0 is -1");
  expect_part(nf4().floats("x.weight.quant_map", {4}, {1, 1, 1, 1}).refusal(),
              "not 16 numbers of F32");
}

TEST(Bitsandbytes, StatesThatCannotBe) {
  const auto refusal = [](const std::string& state) { return nf4(state).refusal(); };
  expect_part(refusal("[]"), "is not a JSON object");
  expect_part(refusal("{\"blocksize\""), "is not JSON");
  expect_part(refusal(R"({"blocksize": 64})"), "\"shape\" is missing");
  expect_part(refusal(R"({"shape": [2, 64]})"), "\"blocksize\" is missing");
  expect_part(refusal(R"({"blocksize": 48, "shape": [2, 64]})"), "not a power of two");
  expect_part(refusal(R"({"blocksize": 0, "shape": [2, 64]})"), "\"blocksize\" is 0");
  expect_part(refusal(R"({"blocksize": 64, "shape": [2, 63]})"), "not the four-bit codes");
  expect_part(refusal(R"({"blocksize": 64, "shape": [2147483648, 2147483648, 2147483648]})"),
              "not the four-bit codes");
  expect_part(refusal(R"({"blocksize": 64, "shape": [-2, -64]})"), "\"shape[0]\" is -2");
}

Draft svdquant() {
  Draft draft;
  draft.add("x.qweight", {128, 64}, DType::i8, std::string(8192, '\x11'));
  draft.add("x.wscales", {2, 128}, DType::bf16, std::string(512, '\x3F'));
  return draft;
}

TEST(Svdquant, PartsThatDoNotFit) {
  EXPECT_EQ(svdquant().read().tensors.at("x.weight").shape, Shape({128, 128}));
  Draft draft = svdquant();
  draft.tensors.erase("x.wscales");
  expect_part(draft.refusal(), "has no \"wscales\" beside it");
  draft.add("x.wscales", {1, 128}, DType::bf16, std::string(256, '\x3F'));
  expect_part(draft.refusal(), "not a scale for 64 inputs of 128 outputs");
  draft.add("x.wscales", {8, 128}, DType::f8_e4m3, std::string(1024, '\x38'));
  expect_part(draft.refusal(), "without \"wcscales\" or \"wtscale\"");
  draft = svdquant().add("x.proj_up", {128, 16}, DType::bf16, std::string(4096, '\0'));
  expect_part(draft.refusal(), "has one half of its low-rank branch");
  draft.add("x.proj_down", {128, 32}, DType::bf16, std::string(8192, '\0'));
  expect_part(draft.refusal(), "fit no branch of [128, 128]");
  draft = svdquant().add("x.bias", {128}, DType::bf16, std::string(256, '\x3F'));
  expect_part(draft.refusal(), "\"x.bias\" is a bias; FLUX.2 has none");
  draft = svdquant().add("x.smooth_factor", {128}, DType::bf16, std::string(256, '\0'));
  expect_part(draft.refusal(), "a factor that is not positive");
  expect_part(svdquant().floats("x.weight", {1}, {1.0f}).refusal(), "beside the plain weight");
  draft.add("x.qweight", {64, 64}, DType::i8, std::string(4096, '\x11'));
  expect_part(draft.refusal(), "not whole tiles of 128");
}

// The places of elements are a permutation: none is read twice.
TEST(Svdquant, EveryPlaceIsUsedOnce) {
  const std::int64_t rows = 256;
  const std::int64_t columns = 256;
  std::set<std::int64_t> nibbles, scales, micro, down, up;
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t column = 0; column < columns; ++column)
      nibbles.insert(svdquant::nibble_of(row, column, columns));
    for (std::int64_t group = 0; group < 8; ++group) {
      scales.insert(svdquant::scale_of(row, group, 8));
      micro.insert(svdquant::micro_scale_of(row, group, 8));
    }
    for (std::int64_t rank = 0; rank < 32; ++rank) {
      down.insert(svdquant::factor_of(svdquant::Factor::down, row, rank, 32));
      up.insert(svdquant::factor_of(svdquant::Factor::up, row, rank, 32));
    }
  }
  const auto is_whole = [](const std::set<std::int64_t>& places, std::int64_t size) {
    return static_cast<std::int64_t>(places.size()) == size && *places.begin() == 0 &&
           *places.rbegin() == size - 1;
  };
  EXPECT_TRUE(is_whole(nibbles, rows * columns));
  EXPECT_TRUE(is_whole(scales, rows * 8));
  EXPECT_TRUE(is_whole(micro, rows * 8));
  EXPECT_TRUE(is_whole(down, rows * 32));
  EXPECT_TRUE(is_whole(up, rows * 32));
}

}  // namespace
}  // namespace flux2::test
