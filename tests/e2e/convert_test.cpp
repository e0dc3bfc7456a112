// flux2 convert: what it writes draws what its parent draws, and nothing half written stays.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "nano.h"
#include "tensor_file.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

class Convert : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TemporaryFolder>();
    const Finished models = run_flux2({"models", "--json"});
    nano_ = nlohmann::json::parse(models.out).at(0).at("path").get<std::string>();
    picture_ = picture("parent.png", {});
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static std::string at(const std::string& name) { return *folder_ / name; }
  static Finished convert(const std::string& from, const std::string& to,
                          const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"convert", from, at(to), "--progress", "none"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_flux2(arguments);
  }
  // All that a model folder's flux2.json would decide is said: a transformer by itself has none.
  static std::string picture(const std::string& name, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"-o",
                                          at(name),
                                          "--seed",
                                          "3",
                                          "--no-metadata",
                                          "--guidance",
                                          "3",
                                          "--max-sequence-length",
                                          "64",
                                          "--compute",
                                          "f32"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Finished run = run_nano(arguments);
    EXPECT_EQ(run.status, 0) << run.err;
    return read_file(at(name));
  }
  static std::string transformer_in(const std::string& folder) {
    return folder + "/transformer/diffusion_pytorch_model.safetensors";
  }
  // Every tensor of one file is in the other, bit for bit.
  static void expect_same_tensors(const std::string& path, const std::string& other_path) {
    TensorFile file(path), other(other_path);
    EXPECT_EQ(file.header().size(), other.header().size());
    for (const auto& [name, entry] : file.header().items()) {
      if (name == "__metadata__") continue;
      ASSERT_TRUE(other.header().contains(name)) << name;
      EXPECT_EQ(other.header().at(name).at("dtype"), entry.at("dtype")) << name;
      EXPECT_EQ(other.header().at(name).at("shape"), entry.at("shape")) << name;
      EXPECT_EQ(other.content(name), file.content(name)) << name;
    }
  }

  static std::unique_ptr<TemporaryFolder> folder_;
  static std::string nano_;
  static std::string picture_;
};

std::unique_ptr<TemporaryFolder> Convert::folder_;
std::string Convert::nano_;
std::string Convert::picture_;

TEST_F(Convert, ThereAndBackIsTheSameBitForBit) {
  ASSERT_EQ(convert("nano", "bfl.safetensors", {"--to", "bfl"}).status, 0);
  // No shape tells into how many groups the norms of a VAE divide: its config.json lies beside it.
  fs::create_directories(at("vae"));
  fs::copy_file(nano_ + "/vae/config.json", at("vae/config.json"));
  ASSERT_EQ(convert("nano", "vae/vae.safetensors", {"--to", "bfl", "--part", "vae"}).status, 0);
  EXPECT_EQ(picture("bfl.png", {"-m", "nano", "--transformer", at("bfl.safetensors"), "--vae",
                                at("vae/vae.safetensors"), "--variant", "klein-base"}),
            picture_);
  const Finished back = convert(nano_, "back",
                                {"--to", "diffusers", "--transformer", at("bfl.safetensors"),
                                 "--vae", at("vae/vae.safetensors"), "--variant", "klein-base"});
  ASSERT_EQ(back.status, 0) << back.err;
  expect_same_tensors(transformer_in(nano_), transformer_in(at("back")));
  const std::string vae = "/vae/diffusion_pytorch_model.safetensors";
  expect_same_tensors(nano_ + vae, at("back") + vae);
  expect_same_tensors(nano_ + "/text_encoder/model.safetensors",
                      at("back") + "/text_encoder/model.safetensors");
}

TEST_F(Convert, AFolderIsAWholeModel) {
  const Finished run = convert("nano", "whole", {"--to", "diffusers", "--json"});
  ASSERT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(nlohmann::json::parse(run.out).at("parts").size(), 3U);
  EXPECT_EQ(picture("whole.png", {"-m", at("whole")}), picture_);
  for (const char* file : {"model_index.json", "flux2.json", "scheduler/scheduler_config.json",
                           "tokenizer/tokenizer.json", "text_encoder/config.json"}) {
    EXPECT_EQ(read_file(at("whole") + "/" + file), read_file(nano_ + "/" + file)) << file;
  }
}

// Single files beside each other, without a config.json anywhere.
TEST_F(Convert, ConfigsAreDerivedWhereThereAreNone) {
  const std::string tiny =
      (fs::path(FLUX2_SOURCE_DIR) / "tests/goldens/data/checkpoints/tiny-dev").string();
  ASSERT_EQ(convert(tiny, "dev.safetensors", {"--to", "bfl"}).status, 0);
  const Finished part = convert(at("dev.safetensors"), "dev-part", {"--to", "diffusers"});
  ASSERT_EQ(part.status, 0) << part.err;
  const auto derived =
      nlohmann::json::parse(read_file(at("dev-part") + "/transformer/config.json"));
  const auto parent = nlohmann::json::parse(read_file(tiny + "/transformer/config.json"));
  for (const char* key : {"num_layers", "num_single_layers", "joint_attention_dim",
                          "num_attention_heads", "attention_head_dim", "guidance_embeds"}) {
    EXPECT_EQ(derived.at(key), parent.at(key)) << key;
  }
  expect_same_tensors(transformer_in(tiny), transformer_in(at("dev-part")));
  EXPECT_FALSE(fs::exists(at("dev-part") + "/model_index.json")) << "a part is no model";
}

TEST_F(Convert, IntegersAreThoseOfQuantize) {
  ASSERT_EQ(convert("nano", "int8", {"--to", "int8"}).status, 0);
  ASSERT_EQ(run_flux2({"quantize", "-o", at("quantized"), "--progress", "none"}).status, 0);
  EXPECT_EQ(read_file(transformer_in(at("int8"))), read_file(transformer_in(at("quantized"))));
  EXPECT_EQ(convert("nano", "twice", {"--to", "int8", "--type", "bf16"}).status, 2);
}

TEST_F(Convert, ATypeRoundsTheMatrices) {
  ASSERT_EQ(convert("nano", "f32", {"--to", "bfl", "--type", "f32"}).status, 0);
  EXPECT_EQ(
      picture("f32.png", {"-m", "nano", "--transformer", at("f32"), "--variant", "klein-base"}),
      picture_);
  ASSERT_EQ(convert(at("f32"), "again", {"--to", "diffusers", "--type", "bf16"}).status, 0);
  expect_same_tensors(transformer_in(nano_), transformer_in(at("again")));
  const Finished refused = convert("nano", "refused", {"--to", "bfl", "--type", "q4_k"});
  EXPECT_EQ(refused.status, 2);
  EXPECT_NE(refused.err.find("GGUF files only"), std::string::npos) << refused.err;
}

// Every type draws, is its parent's within its own error, and damage is found.
TEST_F(Convert, EveryGgufTypeIsItsParents) {
  for (const char* type : {"bf16", "f16", "q8_0", "q6_k", "q5_k", "q4_k", "q4_0"}) {
    const std::string file = std::string(type) + ".gguf";
    const Finished run = convert("nano", file, {"--to", "gguf", "--type", type, "--json"});
    ASSERT_EQ(run.status, 0) << run.err;
    const bool blocks = type[0] == 'q';
    EXPECT_EQ(nlohmann::json::parse(run.out).at("quantized").get<int>() > 10, blocks) << type;
    const Finished same =
        run_flux2({"verify", at(file), "--against", "nano", "--progress", "none", "--json"});
    EXPECT_EQ(same.status, 0) << type << same.out.substr(0, 2000);
    const auto part = nlohmann::json::parse(same.out).at("parts").at(0);
    EXPECT_EQ(part.at("names"), "BFL");
    EXPECT_EQ(part.at("sizes_from"), "shapes");
  }
  EXPECT_EQ(picture("bf16.png",
                    {"-m", "nano", "--transformer", at("bf16.gguf"), "--variant", "klein-base"}),
            picture_);
  EXPECT_NE(picture("q4_k.png",
                    {"-m", "nano", "--transformer", at("q4_k.gguf"), "--variant", "klein-base"}),
            picture_);
}

// Mistral's rows are turned on the way and turned back when they are read.
TEST_F(Convert, TextEncodersInLlamaCppsNames) {
  for (const char* model : {"tiny-klein", "tiny-dev"}) {
    const fs::path parent = fs::path(FLUX2_SOURCE_DIR) / "tests/goldens/data/checkpoints" / model;
    const std::string file = std::string(model) + ".gguf";
    const Finished run =
        convert(parent.string(), file, {"--to", "gguf", "--part", "text_encoder", "--type", "f32"});
    ASSERT_EQ(run.status, 0) << run.err;
    const Finished back = convert(at(file), std::string(model) + "-text", {"--to", "diffusers"});
    ASSERT_EQ(back.status, 0) << back.err;
    TensorFile written(at(std::string(model) + "-text/text_encoder/model.safetensors"));
    ASSERT_EQ(convert(parent.string(), model, {"--to", "diffusers", "--type", "f32"}).status, 0);
    TensorFile original(at(model) + "/text_encoder/model.safetensors");
    int compared = 0;
    for (const auto& [name, entry] : written.header().items()) {
      if (name == "__metadata__" || original.header().at(name).at("dtype") != "F32") continue;
      EXPECT_EQ(written.content(name), original.content(name)) << name;
      ++compared;
    }
    EXPECT_GT(compared, 100) << model;
  }
}

TEST_F(Convert, SwappedNibblesAreFound) {
  ASSERT_EQ(convert("nano", "nibbles.gguf", {"--to", "gguf", "--type", "q4_0"}).status, 0);
  std::string bytes = read_file(at("nibbles.gguf"));
  // Behind a name: the number of dimensions, two of them, the type, the offset in the data.
  const auto offset_of = [&](const std::string& tensor) {
    std::uint64_t offset = 0;
    const std::size_t info = bytes.find(tensor) + tensor.size();
    std::memcpy(&offset, bytes.data() + info + 4 + 2 * 8 + 4, sizeof(offset));
    return offset;
  };
  constexpr std::size_t kBlock = 18, kBlocks = 256 * 768 / 32, kLastTensor = 256 * 288 * 2;
  const std::size_t data = bytes.size() - kLastTensor - offset_of("txt_in.weight");
  const std::size_t layer = data + offset_of("double_blocks.1.img_mlp.2.weight");
  for (std::size_t block = 0; block < kBlocks; ++block) {
    for (std::size_t i = 2; i < kBlock; ++i) {
      char& byte = bytes[layer + block * kBlock + i];
      const auto value = static_cast<unsigned char>(byte);
      byte = static_cast<char>((value << 4) | (value >> 4));
    }
  }
  write_text(at("nibbles.gguf"), bytes);
  const Finished run =
      run_flux2({"verify", at("nibbles.gguf"), "--against", "nano", "--progress", "none"});
  EXPECT_EQ(run.status, 3);
  EXPECT_NE(run.out.find("\"double_blocks.1.img_mlp.2.weight\" is not its parent's"),
            std::string::npos)
      << run.out;
  EXPECT_NE(run.out.find("1 problems"), std::string::npos) << run.out;
}

TEST_F(Convert, RefusesWhatItCannotWrite) {
  EXPECT_EQ(convert("nano", "a.gguf", {"--to", "gguf", "--part", "vae"}).status, 2);
  EXPECT_EQ(convert("nano", "a.safetensors", {"--to", "bfl", "--part", "text_encoder"}).status, 2);
  EXPECT_EQ(convert("nano", "a.safetensors", {"--to", "bfl", "--part", "scheduler"}).status, 3);
  EXPECT_EQ(convert("nano", "a", {"--to", "diffusers", "--part", "vae"}).status, 2);
  EXPECT_EQ(convert("nano", "a", {}).status, 2);
  EXPECT_EQ(convert(at("nowhere"), "a", {"--to", "diffusers"}).status, 3);
  write_text(at("taken"), "mine");
  const Finished taken = convert("nano", "taken", {"--to", "bfl"});
  EXPECT_EQ(taken.status, 3);
  EXPECT_NE(taken.err.find("already"), std::string::npos) << taken.err;
  EXPECT_EQ(read_file(at("taken")), "mine");
}

// A limit on the size of files is a disk that fills up while it is written.
TEST_F(Convert, AFullDiskLeavesNothingBehind) {
  const TemporaryFolder folder;
  for (const char* to : {"diffusers", "bfl", "gguf", "int8"}) {
    const Finished run = run_shell("ulimit -f 2000; exec \"$0\" convert nano " + (folder / "out") +
                                   " --progress none --to " + to);
    EXPECT_EQ(run.status, 3) << to << run.err;
    EXPECT_NE(run.err.find("cannot write"), std::string::npos) << run.err;
    EXPECT_TRUE(folder.names().empty()) << to;
  }
}

}  // namespace
}  // namespace flux2
