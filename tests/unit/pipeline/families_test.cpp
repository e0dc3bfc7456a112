// Models whose parts lie in single files, under other names, in different places: they draw what
// their parent draws, byte for byte; and what is no part of FLUX.2 is refused by what it is.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>

#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors.h"
#include "flux2/pipeline.h"
#include "pipeline/model_folder.h"
#include "tokenizers/chat_template.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

const fs::path kCheckpoints = fs::path(FLUX2_SOURCE_DIR) / "tests/goldens/data/checkpoints";
const fs::path kKlein = kCheckpoints / "tiny-klein";
const fs::path kDev = kCheckpoints / "tiny-dev";

class Families : public testing::Test {
 protected:
  Families() {
    static std::atomic<int> counter{0};
    folder_ = fs::temp_directory_path() /
              ("flux2-families-" + std::to_string(getpid()) + "-" + std::to_string(counter++));
    fs::create_directories(folder_);
  }
  ~Families() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  // The part of a golden checkpoint as `naming` stores it.
  static TensorMap stored(const fs::path& model, PartKind part, const char* naming,
                          const std::string& prefix = {}) {
    const Checkpoint weights = Checkpoint::open(model / name_of(part), part);
    const HeadDims heads = {.text = 10, .vision = 16};  // of tiny-dev
    return stored_tensors(naming_of(part, naming), prefix, weights.tensors(), heads, "test");
  }

  static Tensor host(const StoredTensor& tensor) {
    if (holds_numbers(tensor)) return to_host_tensor(tensor);
    Tensor copy = make_host_tensor(tensor.shape, tensor.dtype);
    std::copy(tensor.bytes.begin(), tensor.bytes.end(), copy.bytes());
    return copy;
  }

  // Writes `tensors` to NAME/model.safetensors, f32.
  fs::path write(const std::string& name, const TensorMap& tensors) const {
    std::map<std::string, Tensor> dense;
    for (const auto& [key, tensor] : tensors)
      dense.emplace(key, host(tensor));
    return write(name, dense);
  }
  fs::path write(const std::string& name, const std::map<std::string, Tensor>& tensors) const {
    fs::create_directories(folder_ / name);
    write_safetensors(folder_ / name / "weights.safetensors", tensors);
    return folder_ / name / "weights.safetensors";
  }
  // A file of tensors with these names and nothing in them.
  fs::path write_names(const std::vector<std::string>& names) const {
    std::map<std::string, Tensor> tensors;
    for (const std::string& name : names)
      tensors.emplace(name, make_host_tensor({1}));
    return write("names", tensors);
  }

  static Image draw(const ModelSource& source) {
    PipelineOptions options;
    options.compute = Compute::f32;
    Request request;
    request.prompt = {"a red cube"};
    request.width = request.height = 32;
    request.num_inference_steps = 1;
    request.seeds = {7};
    request.max_sequence_length = 32;
    return Pipeline::load(source, options).generate(request).images.front();
  }
  static void expect_same_picture(const ModelSource& source, const fs::path& parent) {
    EXPECT_EQ(draw(source).pixels, draw({.model = parent.string()}).pixels);
  }

  static std::string refusal(const std::function<void()>& body) {
    try {
      body();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::bad_file) << error.what();
      return error.what();
    }
    ADD_FAILURE() << "nothing was thrown";
    return {};
  }
  static void expect_refusal(const ModelSource& source, const std::string& part,
                             const std::string& hint = {}) {
    const std::string line = refusal([&] { inspect_model(source); });
    EXPECT_NE(line.find(part), std::string::npos) << line;
    EXPECT_NE(line.find(hint), std::string::npos) << line;
  }

  fs::path folder_;
};

TEST_F(Families, ATransformerInOneFileOfBflNames) {
  const fs::path file =
      write("t", stored(kKlein, PartKind::transformer, "BFL", "model.diffusion_model."));
  const ModelSource source = {
      .model = kKlein.string(), .transformer = file, .variant = Family::klein};
  expect_same_picture(source, kKlein);
  const ModelInfo info = inspect_model(source);
  EXPECT_EQ(info.family, Family::klein);
  EXPECT_EQ(info.family_from, "the variant that was asked for");
  EXPECT_EQ(info.parts[1].names, "BFL below model.diffusion_model.");
  EXPECT_EQ(info.parts[1].sizes_from, "shapes");
  EXPECT_EQ(info.parts[1].path, file);
}

TEST_F(Families, AVaeOfBflNamesWithItsConfigBeside) {
  const fs::path base = kCheckpoints / "tiny-klein-base";
  const fs::path file = write("v", stored(base, PartKind::vae, "BFL"));
  fs::copy_file(base / "vae/config.json", file.parent_path() / "config.json");
  expect_same_picture({.model = base.string(), .vae = file}, base);
}

TEST_F(Families, ATextEncoderOfMistralsOwnLayout) {
  const fs::path file = write("m", stored(kDev, PartKind::text_encoder, "Mistral3, consolidated"));
  std::FILE* params = std::fopen((file.parent_path() / "params.json").c_str(), "w");
  ASSERT_NE(params, nullptr);
  std::fputs(R"({"head_dim": 10, "norm_eps": 1e-5, "rope_theta": 1e9,
                 "vision_encoder": {"hidden_size": 32, "num_attention_heads": 2}})",
             params);
  std::fclose(params);
  expect_same_picture(
      {.model = kDev.string(), .text_encoder = file, .tokenizer = kDev / "tokenizer"}, kDev);
}

TEST_F(Families, EverythingInOneFile) {
  TensorMap all = stored(kKlein, PartKind::transformer, "BFL", "model.diffusion_model.");
  all.merge(stored(kKlein, PartKind::vae, "BFL", "vae."));
  all.merge(stored(kKlein, PartKind::text_encoder, "Qwen3, transformers",
                   "text_encoders.qwen3_4b.transformer."));
  const fs::path file = write("all", all);
  fs::copy_file(kKlein / "vae/config.json", file.parent_path() / "config.json");
  fs::copy(kKlein / "tokenizer/tokenizer.json", file.parent_path());
  const ModelSource source = {.model = file.string(), .variant = Family::klein};
  expect_same_picture(source, kKlein);
  EXPECT_EQ(inspect_file(file).parts.size(), 3u);
  // A tensor of nobody is not passed over.
  all.emplace("stray.weight", all.begin()->second);
  write("all", all);
  EXPECT_NE(refusal([&] { draw(source); }).find("stray.weight"), std::string::npos);
}

TEST_F(Families, AFolderOfSingleFiles) {
  write("diffusion_models", stored(kDev, PartKind::transformer, "BFL"));
  write("vae", stored(kDev, PartKind::vae, "BFL"));
  fs::copy_file(kDev / "vae/config.json", folder_ / "vae/config.json");
  write("text_encoders", stored(kDev, PartKind::text_encoder, "Mistral3, ComfyUI"));
  fs::copy_file(kDev / "text_encoder/config.json", folder_ / "text_encoders/config.json");
  const ModelSource source = {.model = folder_.string(), .tokenizer = kDev / "tokenizer"};
  const ModelInfo info = inspect_model(source);
  EXPECT_EQ(info.family, Family::dev);
  EXPECT_EQ(info.family_from, "its guidance embedder");
  EXPECT_EQ(info.parts[0].names, "Mistral3, ComfyUI");
  expect_same_picture(source, kDev);
  fs::copy_file(folder_ / "diffusion_models/weights.safetensors",
                folder_ / "diffusion_models/other.safetensors");
  expect_refusal(source, "two files for the transformer", "--transformer FILE");
}

// The bytes of a tekken.json as a tensor, as ComfyUI puts them into the text encoder's file.
TEST_F(Families, ATokenizerInsideTheTextEncoder) {
  const std::string tekken =
      R"({"config": {"pattern": "\\p{L}+|[^\\p{L}]", "default_num_special_tokens": 12},
          "vocab": [{"rank": 0, "token_bytes": "YQ=="}, {"rank": 1, "token_bytes": "Yg=="},
                    {"rank": 2, "token_bytes": "YWI="}],
          "special_tokens": [{"rank": 0, "token_str": "<unk>"}]})";
  for (const DType dtype : {DType::u8, DType::f16}) {
    const auto length = static_cast<std::int64_t>(tekken.size());
    Tensor bytes = make_host_tensor({length}, dtype);
    for (std::size_t i = 0; i < tekken.size(); ++i) {
      if (dtype == DType::u8) {
        bytes.data<std::uint8_t>()[i] = static_cast<std::uint8_t>(tekken[i]);
      } else {
        bytes.data<std::uint16_t>()[i] = float_to_half(static_cast<float>(tekken[i]));
      }
    }
    std::map<std::string, Tensor> tensors;
    for (const auto& [name, tensor] : stored(kDev, PartKind::text_encoder, "Mistral3, ComfyUI"))
      tensors.emplace(name, host(tensor));
    tensors["tekken_model"] = bytes;
    const fs::path file = write("tekken", tensors);
    fs::copy_file(kDev / "text_encoder/config.json", file.parent_path() / "config.json",
                  fs::copy_options::overwrite_existing);
    const ModelFolder model =
        ModelFolder::open(ModelSource{.model = kDev.string(), .text_encoder = file});
    EXPECT_EQ(model.tokenizer().encode("abba"), (std::vector<std::int32_t>{14, 13, 12}));
    EXPECT_EQ(model.tokenizer().encode("ab"), (std::vector<std::int32_t>{14}));
  }
}

TEST_F(Families, ATextEncoderThatWasCut) {
  TensorMap tensors = stored(kDev, PartKind::text_encoder, "Mistral3, ComfyUI");
  const auto cut_to = [&](std::int64_t layers) {
    std::erase_if(tensors, [&](const auto& entry) {
      const auto layer = match_name("model.layers.{i}.*", entry.first);
      return entry.first == "model.norm.weight" || entry.first == "lm_head.weight" ||
             (layer && layer->i >= layers);
    });
    const fs::path file = write("cut", tensors);
    std::FILE* params = std::fopen((file.parent_path() / "params.json").c_str(), "w");
    std::fputs(
        R"({"head_dim": 10, "vision_encoder": {"hidden_size": 32, "num_attention_heads": 2}})",
        params);
    std::fclose(params);
    return ModelSource{
        .model = kDev.string(), .text_encoder = file, .tokenizer = kDev / "tokenizer"};
  };
  const ModelSource cow = cut_to(30);  // the deepest tap is 30
  expect_same_picture(cow, kDev);
  Request request;
  request.prompt = {"x"};
  request.caption_upsample_temperature = 0.15;
  const std::string line = refusal([&] { Pipeline::load(cow).generate(request); });
  EXPECT_NE(line.find("cannot rewrite prompts"), std::string::npos) << line;

  EXPECT_NE(refusal([&] { draw(cut_to(29)); }).find("holds 29 of the 30 layers"),
            std::string::npos);
  // With a config.json that promises more the file is incomplete.
  fs::copy_file(kDev / "text_encoder/config.json", folder_ / "cut/config.json");
  expect_refusal({.model = kDev.string(), .text_encoder = folder_ / "cut/weights.safetensors"},
                 "holds 29 of the 32 layers");
}

TEST_F(Families, TheVariantIsAskedForAndNotGuessed) {
  const fs::path file = write("t", stored(kKlein, PartKind::transformer, "BFL"));
  ModelSource source = {.model = kKlein.string(), .transformer = file};
  expect_refusal(source, "which one this is", "--variant klein");
  source.variant = Family::dev;
  expect_refusal(source, "no guidance embedder");
  source.variant = Family::klein_kv;
  EXPECT_EQ(inspect_model(source).pipeline_class, "Flux2KleinKVPipeline");
  // A transformer that lies in its pipeline's folder brings its own model_index.json.
  const ModelSource other = {.model = kKlein.string(),
                             .transformer = kCheckpoints / "tiny-klein-kv/transformer"};
  EXPECT_EQ(inspect_model(other).family, Family::klein_kv);
}

TEST_F(Families, WhatIsNotFlux2IsCalledByItsName) {
  const std::vector<std::pair<std::string, std::string>> strangers = {
      {"double_blocks.0.img_mod.lin.weight", "a FLUX.1 transformer"},
      {"single_transformer_blocks.0.norm.linear.weight", "a FLUX.1 transformer"},
      {"model.diffusion_model.input_blocks.0.0.weight", "Stable Diffusion 1, 2 or XL"},
      {"model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight", "Stable Diffusion 3"},
      {"transformer_blocks.0.img_mod.1.weight", "a Qwen-Image transformer"},
      {"noise_refiner.0.attention.to_q.weight", "a Z-Image transformer"},
      {"diffusion_model.double_blocks.0.img_attn.qkv.lora_A.weight", "a LoRA"},
      {"lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight", "a LoRA"},
      {"encoder.block.0.layer.0.SelfAttention.q.weight", "a T5 text encoder"},
      {"decoder.mid_block.resnets.0.conv1.weight", "is a VAE, not a transformer"},
      {"something.else", "is not recognised as a transformer"}};
  for (const auto& [name, what] : strangers) {
    const fs::path file = write_names({name});
    expect_refusal({.model = kKlein.string(), .transformer = file, .variant = Family::klein}, what);
    const std::string line = refusal([&] { inspect_model(file); });
    EXPECT_EQ(line.find("internal"), std::string::npos) << line;
  }
  const fs::path t5 = write_names({"encoder.block.0.layer.0.SelfAttention.q.weight"});
  expect_refusal({.model = kKlein.string(), .text_encoder = t5}, "a T5 text encoder", "Qwen3");
}

TEST_F(Families, PartsThatDoNotFitEachOther) {
  expect_refusal({.model = kDev.string(), .text_encoder = kKlein / "text_encoder"},
                 "takes Mistral-Small-3 (mistral3) as its text encoder, and this is a qwen3");
  const fs::path nano = fs::path(FLUX2_SOURCE_DIR) / "models/nano";
  expect_refusal({.model = kKlein.string(), .text_encoder = nano / "text_encoder"},
                 "the text encoder is 96 wide and the transformer takes texts of 3 x 40",
                 "Qwen3-4B");
  expect_refusal({.model = "", .transformer = kKlein / "transformer"}, "has no vae", "--vae FILE");
  expect_refusal({.model = kKlein.string(), .vae = folder_ / "nothing"}, "no such folder or file");
}

TEST_F(Families, AnIncompleteFile) {
  TensorMap tensors = stored(kKlein, PartKind::transformer, "BFL");
  std::erase_if(tensors,
                [](const auto& entry) { return entry.first.starts_with("single_blocks.1."); });
  const ModelSource source = {
      .model = kKlein.string(), .transformer = write("t", tensors), .variant = Family::klein};
  expect_refusal(source, "no layer 1");
  tensors = stored(kKlein, PartKind::transformer, "BFL");
  tensors.erase("double_blocks.1.img_attn.qkv.weight");
  write("t", tensors);
  const std::string line = refusal([&] { draw(source); });
  EXPECT_NE(line.find("1 missing: \"double_blocks.1.img_attn.qkv.weight\""), std::string::npos)
      << line;
  // No encoder: there is nothing to encode references with.
  TensorMap decoder = stored(kKlein, PartKind::vae, "BFL");
  std::erase_if(decoder, [](const auto& entry) { return entry.first.starts_with("encoder."); });
  const fs::path file = write("v", decoder);
  fs::copy_file(kKlein / "vae/config.json", file.parent_path() / "config.json");
  const ModelSource half = {.model = kKlein.string(), .vae = file};
  expect_same_picture(half, kKlein);
  Request request;
  request.prompt = {"x"};
  Image& picture = request.image.emplace_back();
  picture.width = picture.height = 64;
  picture.pixels.resize(64 * 64 * 3);
  EXPECT_NE(refusal([&] { Pipeline::load(half).generate(request); }).find("holds no encoder"),
            std::string::npos);
}

}  // namespace
}  // namespace flux2
