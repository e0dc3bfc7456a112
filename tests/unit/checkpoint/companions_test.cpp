#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <map>

#include "draft.h"

namespace flux2::test {
namespace {

namespace fs = std::filesystem;

Draft fp8(const Shape& scale_shape, const std::vector<float>& scales,
          const std::string& scale_name = "x.weight_scale") {
  Draft draft;
  draft.add("x.weight", {2, 4}, DType::f8_e4m3, std::string(8, '\x38'));  // ones
  return draft.floats(scale_name, scale_shape, scales);
}

// The sum of a low-rank branch has another order here than in the file's writer.
float tolerance_of(const std::string& name, float value) {
  return name.starts_with("svdq") ? 1e-5f * (8.0f + std::abs(value)) : 0.0f;
}

TEST(Companions, EveryLayoutGivesTheNumbersOfItsWriter) {
  const WeightsFile file = read_weights_file(test_data("companions.safetensors"));
  const SafetensorsFile expected = read_safetensors(test_data("companions_expected.safetensors"));
  std::size_t weights = 0;
  for (const auto& [name, numbers] : expected.tensors) {
    if (!name.ends_with(".weight")) continue;
    SCOPED_TRACE(name);
    ASSERT_TRUE(file.tensors.contains(name));
    ++weights;
    const StoredTensor& tensor = file.tensors.at(name);
    const auto rows = expected.tensors.find(name.substr(0, name.size() - 6) + "rows");
    const bool all = rows == expected.tensors.end();
    EXPECT_TRUE(!all || tensor.shape == numbers.shape) << tensor.shape.to_string();
    for (std::int64_t i = 0; i < numbers.shape[0]; ++i) {
      std::int64_t index = i;
      if (!all) std::memcpy(&index, rows->second.bytes.data() + i * 8, sizeof(index));
      const std::vector<float> is = row_of(tensor, index);
      const std::vector<float> should = row_of(numbers, i);
      ASSERT_EQ(is.size(), should.size());
      for (std::size_t k = 0; k < is.size(); ++k)
        ASSERT_NEAR(is[k], should[k], tolerance_of(name, should[k])) << index << ", " << k;
    }
  }
  EXPECT_EQ(weights, 20u);
  EXPECT_EQ(file.tensors.size(), weights) << "companions must be gone";
}

TEST(Companions, ManyRowsAtOnceAreTheSameRows) {
  const WeightsFile file = read_weights_file(test_data("companions.safetensors"));
  for (const auto& [name, tensor] : file.tensors) {
    SCOPED_TRACE(name);
    const std::vector<float> whole = to_vector(to_host_tensor(tensor));
    const std::int64_t width = row_elements(tensor);
    for (std::int64_t i = 0; i < tensor.shape[0]; i += 3)
      EXPECT_EQ(row_of(tensor, i),
                std::vector<float>(whole.begin() + i * width, whole.begin() + (i + 1) * width));
  }
}

Draft rotated_int8(const std::string& size = std::string("\x40\0\0\0", 4)) {
  std::string numbers(2 * 128, '\0');
  for (std::size_t i = 0; i < numbers.size(); ++i)
    numbers[i] = static_cast<char>(static_cast<int>(i * 37 % 255) - 127);
  Draft draft;
  draft.add("x.weight", {2, 128}, DType::i8, numbers);
  draft.add("x.weight_rotation", {1}, DType::i32, size);
  return draft.floats("x.weight_scale", {2}, {0.5f, 0.25f});
}

// docs/int8.md: what is stored is W H / 8, which is its own inverse.
TEST(Companions, RotatedRowsAreTurnedBack) {
  const WeightsFile file = rotated_int8().read();
  ASSERT_EQ(file.tensors.size(), 1u);
  const StoredTensor& tensor = file.tensors.at("x.weight");
  EXPECT_EQ(encoding_of(tensor), "I8 with a scale a row, rotated");
  const Int8Rows* stored = tensor.decoder->int8_rows();
  ASSERT_NE(stored, nullptr);
  EXPECT_EQ(stored->rotation, Rotation::hadamard);
  for (const std::int64_t row : {0, 1}) {
    const std::vector<float> is = row_of(tensor, row);
    const float scale = stored->scales[static_cast<std::size_t>(row)];
    for (std::size_t k = 0; k < 128; ++k) {
      float should = 0;  // element [a, b] of H is -1 to the number of bits that a and b share
      for (std::size_t j = k % 2; j < 128; j += 2) {
        const bool odd = std::popcount((k / 2) & (j / 2)) % 2 == 1;
        const auto number =
            static_cast<float>(stored->values[static_cast<std::size_t>(row) * 128 + j]);
        should += (odd ? -number : number) * scale / 8.0f;
      }
      EXPECT_FLOAT_EQ(is[k], should) << row << ", " << k;
    }
  }
}

TEST(Companions, RotationsThatMakeNoSense) {
  EXPECT_NE(rotated_int8(std::string("\x20\0\0\0", 4)).refusal().find("rotation"),
            std::string::npos);
  Draft without_scale = rotated_int8();
  without_scale.tensors.erase("x.weight_scale");
  EXPECT_NE(without_scale.refusal().find("scale is missing"), std::string::npos);
  Draft narrow = rotated_int8();
  narrow.add("x.weight", {2, 4}, DType::i8, std::string(8, '\1'));
  EXPECT_NE(narrow.refusal().find("multiple of 64"), std::string::npos);
  Draft orphan = rotated_int8();
  orphan.tensors.erase("x.weight");
  EXPECT_NE(orphan.refusal(), "");
}

TEST(Companions, NamesAndScalesForPeople) {
  const WeightsFile file = read_weights_file(test_data("companions.safetensors"));
  const auto name = [&](const char* layer) {
    return std::string(encoding_of(file.tensors.at(std::string(layer) + ".weight")));
  };
  EXPECT_EQ(name("tensor"), "F8_E4M3 with a scale");
  EXPECT_EQ(name("column"), "F8_E5M2 with a scale a row");
  EXPECT_EQ(name("block"), "F8_E4M3 with scales of 128x128 blocks");
  EXPECT_EQ(name("plain"), "F8_E4M3");
  EXPECT_EQ(name("int8_row"), "I8 with a scale a row");
  EXPECT_EQ(name("nvfp4"), "NVFP4");
  EXPECT_EQ(name("mxfp8"), "MXFP8");
  EXPECT_EQ(name("nf4_nested"), "bitsandbytes NF4");
  EXPECT_EQ(name("svdq_fp4"), "SVDQuant NVFP4");
  for (const auto& [key, tensor] : file.tensors) {
    if (tensor.decoder == nullptr) continue;
    const auto scales = tensor.decoder->scales(tensor);
    ASSERT_TRUE(scales) << key;
    EXPECT_GT(scales->count, 0) << key;
    EXPECT_LE(scales->least, scales->most) << key;
  }
  const StoredTensor& block = file.tensors.at("block.weight");
  EXPECT_EQ(block.decoder->scales(block)->count, 4);
  ASSERT_EQ(file.notes.size(), 2u);
  expect_part(file.notes[0], "biases of zeros");
  expect_part(file.notes[1], "3 input scales are not used");
}

TEST(Companions, IntegersAreGivenAsTheyAreStored) {
  const WeightsFile file = read_weights_file(test_data("companions.safetensors"));
  for (const char* name : {"int8_tensor.weight", "int8_row.weight"}) {
    const StoredTensor& tensor = file.tensors.at(name);
    const Int8Rows* rows = tensor.decoder->int8_rows();
    ASSERT_NE(rows, nullptr);
    ASSERT_EQ(rows->values.size(), 48u);
    ASSERT_EQ(rows->scales.size(), 4u);
    for (std::size_t i = 0; i < 4; ++i) {
      const std::vector<float> numbers = row_of(tensor, static_cast<std::int64_t>(i));
      for (std::size_t k = 0; k < 12; ++k)
        EXPECT_EQ(numbers[k], static_cast<float>(rows->values[i * 12 + k]) * rows->scales[i]);
    }
  }
  EXPECT_EQ(file.tensors.at("row.weight").decoder->int8_rows(), nullptr);
}

TEST(Companions, ScalesThatCannotBe) {
  expect_part(fp8({}, {NAN}).refusal(), "\"x.weight_scale\" scale 0 is not a finite number");
  expect_part(fp8({}, {INFINITY}).refusal(), "is not a finite number");
  expect_part(fp8({}, {-1.0f}).refusal(), "scale 0 is negative");
  expect_part(fp8({}, {0.0f}).refusal(), "scale 0 is zero");
  expect_part(fp8({2}, {1.0f, -2.0f}).refusal(), "scale 1 is negative");
  expect_part(fp8({3}, {1.0f, 2.0f, 3.0f}).refusal(), "[3], which fits no layout of scales");
  expect_part(fp8({1, 4}, {1, 2, 3, 4}).refusal(), "fits no layout of scales");
  EXPECT_EQ(row_of(fp8({2}, {0.0f, 2.0f}).read().tensors.at("x.weight"), 0)[0], 0.0f);
  Draft wrong = fp8({}, {1.0f});
  wrong.add("x.weight_scale", {}, DType::i32, std::string(4, '\1'));
  expect_part(wrong.refusal(), "holds scales as I32");
  expect_part(fp8({}, {1.0f}).floats("x.scale_weight", {}, {1.0f}).refusal(), "is there also as");
  expect_part(fp8({}, {1.0f}).floats("x.input_scale", {}, {-3.0f}).refusal(), "is negative");
}

TEST(Companions, WhatIsMissingIsNamed) {
  Draft draft = fp8({}, {1.0f});
  draft.tensors.erase("x.weight");
  expect_part(draft.refusal(), "\"x.weight_scale\" says how a weight is stored that is not there");
  draft = fp8({}, {1.0f});
  draft.tensors.erase("x.weight_scale");
  draft.text("x.comfy_quant", R"({"format": "float8_e4m3fn"})");
  expect_part(draft.refusal(), "\"x.weight\" is float8_e4m3fn and its scale is missing");
  draft = fp8({}, {1.0f});
  draft.metadata["_quantization_metadata"] = R"({"layers": {"y": {"format": "float8_e4m3fn"}}})";
  expect_part(draft.refusal(), "layer \"y\", which is not there");
}

// Two FP8 weights of one file, of which one lost its scale: white pictures elsewhere.
TEST(Companions, AScaleThatWasLostIsNoticed) {
  Draft draft = fp8({}, {0.01f});
  draft.add("y.weight", {2, 4}, DType::f8_e4m3, std::string(8, '\x38'));
  EXPECT_EQ(row_of(draft.read().tensors.at("y.weight"), 1)[0], 1.0f) << "a plain cast is taken";
  draft.add("y.weight", {2, 4}, DType::f8_e4m3, std::string(7, '\x38') + '\x7E');  // 448
  expect_part(draft.refusal(), "\"y.weight\" has no scale, but numbers that need one");
}

TEST(Companions, MarksThatContradictTheWeight) {
  expect_part(fp8({}, {1.0f}).text("x.comfy_quant", R"({"format": "nvfp4"})").refusal(),
              "\"x.weight\" is F8_E4M3 and marked as \"nvfp4\", which is not supported");
  for (const char* format : {"awq_w4a16", "convrot_w4a4", "asym_w4a8_int8", "of_the_future"}) {
    Draft draft;
    draft.add("x.weight", {2, 4}, DType::i8, std::string(8, '\1'))
        .floats("x.weight_scale", {}, {1});
    draft.text("x.comfy_quant", std::string(R"({"format": ")") + format + "\"}");
    expect_part(draft.refusal(), std::string("marked as \"") + format + "\", which is not");
  }
  Draft rotated;
  rotated.add("x.weight", {2, 4}, DType::i8, std::string(8, '\1'))
      .floats("x.weight_scale", {}, {1});
  rotated.text("x.comfy_quant", R"({"format": "int8_tensorwise", "convrot": true})");
  expect_part(rotated.refusal(), "rotated weights (convrot)");
  rotated.text("x.comfy_quant", R"({"format": "int8_tensorwise"})");
  EXPECT_EQ(row_of(rotated.read().tensors.at("x.weight"), 0)[0], 1.0f);
  expect_part(fp8({}, {1.0f}).text("x.comfy_quant", "{\"form").refusal(), "is not JSON");
  expect_part(fp8({}, {1.0f}).text("x.comfy_quant", "{}").refusal(), "\"format\" is missing");
  Draft plain;
  plain.floats("x.weight", {1}, {1.0f}).floats("x.weight_scale", {}, {0.5f});
  expect_part(plain.refusal(), "\"x.weight_scale\" scales \"x.weight\", which is F32");
  plain.floats("x.weight_scale", {}, {1.0f});
  EXPECT_EQ(plain.read().tensors.size(), 1u);
}

TEST(Companions, LayoutsOfOthersAreNamed) {
  const std::map<std::string, std::string> layouts = {
      {"x.weight._data", "quanto"},
      {"x._weight_qdata", "torchao"},
      {"x.qzeros", "GPTQ or AWQ"},
      {"x.g_idx", "GPTQ"},
      {"x.wzeros", "nunchaku's AWQ"},
      {"x.SCB", "bitsandbytes LLM.int8()"},
      {"x.weight_packed", "compressed-tensors"},
      {"x.qscale_weight", "Mistral's FP8"},
  };
  for (const auto& [tensor, layout] : layouts) {
    const std::string line = Draft().floats(tensor, {1}, {1.0f}).refusal();
    expect_part(line, "\"" + tensor + "\" belongs to " + layout);
    expect_part(line, "not supported");
  }
  Draft torchao;
  torchao.floats("x", {1}, {1.0f}).metadata["tensor_names"] = "[]";
  expect_part(torchao.refusal(), "torchao");
  expect_part(Draft().add("x.qweight", {2, 2}, DType::i32, std::string(16, '\0')).refusal(),
              "\"x.qweight\" is I32 [2, 2]: a layout that is not supported");
}

TEST(Companions, ShardsMayHoldEachOthersCompanions) {
  const TemporaryFolder folder;
  const Draft whole = fp8({}, {3.0f});
  write_safetensors(folder / "1.safetensors", {{"x.weight", whole.tensors.at("x.weight")}});
  write_safetensors(folder / "2.safetensors",
                    {{"x.weight_scale", whole.tensors.at("x.weight_scale")}});
  const std::vector<fs::path> paths = {folder / "1.safetensors", folder / "2.safetensors"};
  const WeightsFile file = read_weights_files(paths);
  EXPECT_EQ(row_of(file.tensors.at("x.weight"), 0)[0], 3.0f);
  const std::vector<fs::path> twice = {paths[0], paths[0]};
  expect_part(refusal_of([&] { read_weights_files(twice); }), "\"x.weight\" is also in");
}

}  // namespace
}  // namespace flux2::test
