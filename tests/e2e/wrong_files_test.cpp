// Files that other programs take and draw noise, white or a wrong picture with, one test for each:
// what can be seen is refused with one sentence that says what the file is and what to do. What no
// reader can see, an order of bits or rows, is settled by a rule of docs/formats.md; the test shows
// that the rule is followed and that the other order would have been another picture. Beside this
// file the rules are held to the formats' own programs by
//   Companions.EveryLayoutGivesTheNumbersOfItsWriter    nibbles, scales and their order
//   Bitsandbytes.HighNibblesComeFirst                   nibbles of NF4 and FP4
//   BlockOrder.*                                        which of two orders a file's scales have
//   Families.ATextEncoderOfMistralsOwnLayout            rows of Mistral's own files
//   StoredTypes.NibblesInTheOtherOrderAreAnotherPicture, .ScalesRowByRowAreRefused
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "../unit/checkpoint/gguf_bytes.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors.h"
#include "nano.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;
using Tensors = std::map<std::string, Tensor>;

const fs::path kNano = fs::path(FLUX2_SOURCE_DIR) / "models/nano";
const fs::path kDev = fs::path(FLUX2_SOURCE_DIR) / "tests/goldens/data/checkpoints/tiny-dev";

class WrongFile : public testing::Test {
 protected:
  static std::vector<std::string> on_nano(const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"-m", kNano, "--variant", "klein-base"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  // Refused with status 3 and one line that holds all of `parts`; nothing is written.
  void expect_refusal(const std::vector<std::string>& arguments,
                      const std::vector<std::string>& parts) {
    const std::string picture = out_ / "out.png";
    std::vector<std::string> all = {"-q", "--seed", "1", "-o", picture};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Finished run = run_nano(all);
    EXPECT_EQ(run.status, 3) << run.err;
    EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1) << run.err;
    for (const std::string& part : parts)
      EXPECT_NE(run.err.find(part), std::string::npos) << run.err << " lacks: " << part;
    EXPECT_FALSE(fs::exists(picture));
  }

  // The picture of a run that must succeed.
  std::string picture(const std::vector<std::string>& arguments) {
    const std::string file = out_ / "out.png";
    std::vector<std::string> all = {
        "-q",        "--seed",        "1",         "-o", file,
        "--compute", "f32",           "--width",   "32", "--height",
        "32",        "--no-metadata", "--threads", "1",  "--max-sequence-length",
        "32"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    std::vector<std::string> command = {"generate", "-p", "a red circle", "--steps", "1"};
    command.insert(command.end(), all.begin(), all.end());
    const Finished run = run_flux2(command);
    EXPECT_EQ(run.status, 0) << run.err;
    const std::string bytes = read_file(file);
    fs::remove(file);
    return bytes;
  }

  std::string write(const std::string& name, const Tensors& tensors) const {
    const std::string file = out_ / name;
    write_safetensors(file, tensors);
    return file;
  }
  // A file of tensors with these names and nothing in them.
  std::string write_names(const std::vector<std::string>& names) const {
    Tensors tensors;
    for (const std::string& name : names)
      tensors.emplace(name, make_host_tensor({1}));
    return write("names.safetensors", tensors);
  }

  TemporaryFolder out_;
};

// The tensors of a part under the names of `naming`, as f32.
Tensors tensors_of(const fs::path& model, PartKind part, const char* naming) {
  const Checkpoint weights = Checkpoint::open(model / name_of(part), part);
  const HeadDims heads = {.text = 10, .vision = 16};  // of tiny-dev
  Tensors tensors;
  for (const auto& [name, tensor] :
       stored_tensors(naming_of(part, naming), "", weights.tensors(), heads, "test")) {
    if (holds_numbers(tensor)) tensors.emplace(name, to_host_tensor(tensor));
  }
  return tensors;
}

Tensors nano_transformer() {
  return tensors_of(kNano, PartKind::transformer, "Diffusers");
}

TEST_F(WrongFile, OtherModels) {
  const std::string hint = "flux2 draws with FLUX.2 models only";
  const std::vector<std::pair<std::string, std::vector<std::string>>> models = {
      {"Stable Diffusion 1, 2 or XL",
       {"model.diffusion_model.input_blocks.0.0.weight", "first_stage_model.quant_conv.weight",
        "conditioner.embedders.0.transformer.text_model.final_layer_norm.weight"}},
      {"FLUX.1",
       {"double_blocks.0.img_mod.lin.weight", "double_blocks.0.img_attn.qkv.weight",
        "guidance_in.in_layer.weight", "final_layer.adaLN_modulation.1.weight"}},
      {"FLUX.1",
       {"single_transformer_blocks.0.norm.linear.weight", "x_embedder.weight",
        "single_transformer_blocks.0.proj_mlp.weight"}},
      {"Stable Diffusion 3",
       {"model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight",
        "model.diffusion_model.x_embedder.proj.weight"}},
      {"Qwen-Image",
       {"transformer_blocks.0.img_mod.1.weight", "transformer_blocks.0.attn.to_q.weight",
        "txt_norm.weight"}},
      {"Z-Image", {"noise_refiner.0.attention.to_q.weight", "cap_embedder.0.weight"}}};
  for (const auto& [name, tensors] : models) {
    const std::string file = write_names(tensors);
    expect_refusal(on_nano({"--transformer", file}), {name, hint});
    expect_refusal({"-m", file}, {name, hint});
  }
}

TEST_F(WrongFile, AVaeOfFlux1) {
  const std::string vae =
      write("ae.safetensors", {{"encoder.conv_out.weight", make_host_tensor({32, 64, 3, 3})},
                               {"decoder.conv_in.weight", make_host_tensor({64, 16, 3, 3})},
                               {"decoder.mid.block_1.conv1.weight", make_host_tensor({1})}});
  expect_refusal(on_nano({"--vae", vae}), {"16 latent channels", "FLUX.2's VAE is"});
  write_text(out_ / "config.json", R"({"_class_name": "AutoencoderKL", "latent_channels": 16})");
  expect_refusal(on_nano({"--vae", out_.path().string()}),
                 {"is of AutoencoderKL, not of FLUX.2's vae", "give FLUX.2's"});
}

TEST_F(WrongFile, ATextEncoderOfAnotherWidth) {
  expect_refusal(on_nano({"--text-encoder", kDev.parent_path() / "tiny-klein/text_encoder"}),
                 {"40 wide", "texts of 3 x 96", "klein 4B takes Qwen3-4B"});
  expect_refusal(on_nano({"--text-encoder", kDev / "text_encoder"}),
                 {"takes Qwen3", "this is a mistral3"});
}

// Published sizes; nothing is read but the shapes.
TEST_F(WrongFile, Qwen3Of8BillionWithTheTransformerOf4) {
  fs::copy(kNano, out_ / "klein", fs::copy_options::recursive);
  const fs::path config = fs::path(out_ / "klein") / "transformer/config.json";
  write_text(config, R"({"_class_name": "Flux2Transformer2DModel", "num_attention_heads": 24,
                         "attention_head_dim": 128, "joint_attention_dim": 7680, "num_layers": 5,
                         "num_single_layers": 20, "guidance_embeds": false,
                         "axes_dims_rope": [32, 32, 32, 32]})");
  const std::string layer = "model.layers.0.";
  const std::string encoder =
      write("qwen3-8b.safetensors",
            {{"model.embed_tokens.weight", make_host_tensor({8, 4096}, DType::u8)},
             {layer + "self_attn.q_norm.weight", make_host_tensor({128}, DType::u8)},
             {layer + "self_attn.q_proj.weight", make_host_tensor({4096, 1}, DType::u8)},
             {layer + "self_attn.k_proj.weight", make_host_tensor({1024, 1}, DType::u8)},
             {layer + "mlp.gate_proj.weight", make_host_tensor({12288, 1}, DType::u8)}});
  expect_refusal({"-m", out_ / "klein", "--text-encoder", encoder},
                 {"4096 wide", "3 x 2560", "klein 9B Qwen3-8B"});
}

TEST_F(WrongFile, AnAdapterThatIsNone) {
  const std::string flux1 =
      write("flux1.safetensors",
            {{"lora_unet_double_blocks_18_img_mod_lin.lora_down.weight", make_host_tensor({4, 8})},
             {"lora_unet_double_blocks_18_img_mod_lin.lora_up.weight", make_host_tensor({8, 4})}});
  expect_refusal({"--lora", flux1}, {"is an adapter for FLUX.1", "trained on this model"});
  const std::string model = kNano / "transformer/diffusion_pytorch_model.safetensors";
  expect_refusal({"--lora", model},
                 {"holds the weights of a transformer and no adapter", "--transformer"});
}

TEST_F(WrongFile, AnAdapterInTheModelsPlace) {
  const std::string lora = write(
      "lora.safetensors",
      {{"diffusion_model.double_blocks.0.img_attn.qkv.lora_A.weight", make_host_tensor({4, 8})},
       {"diffusion_model.double_blocks.0.img_attn.qkv.lora_B.weight", make_host_tensor({8, 4})}});
  const std::vector<std::string> words = {"is a LoRA", "an adapter changes a model and is none"};
  expect_refusal(on_nano({"--transformer", lora}), words);
  expect_refusal({"-m", lora}, words);
  expect_refusal({"--transformer", lora}, words);
}

TEST_F(WrongFile, AFileThatIsNotWhole) {
  const std::string whole = read_file(kNano / "transformer/diffusion_pytorch_model.safetensors");
  const std::string file = out_ / "model.safetensors";
  write_text(file, whole.substr(0, whole.size() / 2));
  expect_refusal(on_nano({"--transformer", file}), {"model.safetensors", "get it again"});
  write_text(file, whole.substr(0, 5));
  expect_refusal(on_nano({"--transformer", file}), {"model.safetensors"});
  write_text(file, "version https://git-lfs.github.com/spec/v1\noid sha256:4665\nsize 7754\n");
  expect_refusal(on_nano({"--transformer", file}), {"is a Git LFS pointer", "git lfs pull"});
  expect_refusal({"--lora", file}, {"is a Git LFS pointer", "git lfs pull"});
}

TEST_F(WrongFile, OneShardIsMissing) {
  fs::copy(kNano / "transformer/config.json", out_.path());
  const std::string here = "diffusion_pytorch_model-00001-of-00002.safetensors";
  const std::string missing = "diffusion_pytorch_model-00002-of-00002.safetensors";
  std::string map;
  Tensors first, second;
  for (const auto& [name, tensor] : nano_transformer()) {
    Tensors& shard = first.size() <= second.size() ? first : second;
    map += (map.empty() ? "\"" : ", \"") + name + "\": \"" + (&shard == &first ? here : missing) +
           "\"";
    shard.emplace(name, tensor);
  }
  write(here, first);
  const std::string index = out_ / "diffusion_pytorch_model.safetensors.index.json";
  write_text(index, "{\"weight_map\": {" + map + "}}");
  const std::vector<std::string> arguments = on_nano({"--transformer", out_.path().string()});
  expect_refusal(arguments, {missing, "which is not there", "get the missing file"});
  fs::remove(index);  // and where only the name says that there should be another one
  expect_refusal(arguments, {"is shard 1 of 2", "give the folder that holds all of them"});
  expect_refusal(on_nano({"--transformer", out_ / here}), {"is shard 1 of 2"});
}

TEST_F(WrongFile, LayersAreMissing) {
  Tensors tensors = tensors_of(kDev, PartKind::text_encoder, "Mistral3, ComfyUI");
  const auto cut_to = [&](std::int64_t layers) {
    std::erase_if(tensors, [&](const auto& entry) {
      const auto layer = match_name("model.layers.{i}.*", entry.first);
      return layer && layer->i >= layers;
    });
    return std::vector<std::string>{"-m", kDev, "--text-encoder",
                                    write("encoder.safetensors", tensors)};
  };
  fs::copy(kDev / "text_encoder/config.json", out_.path());
  expect_refusal(cut_to(31), {"holds 31 of the 32 layers", "get it again"});
  fs::remove(out_ / "config.json");
  write_text(out_ / "params.json", R"({"head_dim": 10, "vision_encoder": {"hidden_size": 32,
                                       "num_attention_heads": 2}})");
  tensors.erase("model.norm.weight");
  tensors.erase("lm_head.weight");
  std::vector<std::string> blind = cut_to(29);
  blind.insert(blind.end(), {"--tokenizer", kDev / "tokenizer"});
  expect_refusal(blind, {"holds 29 of the 30 layers"});
}

TEST_F(WrongFile, ScalesAreMissing) {
  Tensors tensors = nano_transformer();
  const std::string layer = "transformer_blocks.0.attn.to_q";
  Tensor codes = make_host_tensor(tensors.at(layer + ".weight").shape(), DType::f8_e4m3);
  std::fill_n(codes.data<std::uint8_t>(), codes.shape().elements(), std::uint8_t{0x7E});  // 448
  tensors.insert_or_assign(layer + ".weight", codes);
  Tensors scaled = tensors;
  scaled.emplace(layer + ".weight_scale", make_host_tensor({}, std::vector<float>{0.001F}));
  const std::string plain = picture(on_nano({"--transformer", write("t.safetensors", scaled)}));
  // Scales of activations tell nothing of the weights: with or without, the same picture.
  scaled.emplace(layer + ".input_scale", make_host_tensor({}, std::vector<float>{0.5F}));
  EXPECT_TRUE(picture(on_nano({"--transformer", write("t.safetensors", scaled)})) == plain);
  // Another layer has its scale, this one lost its own.
  const std::string other = "transformer_blocks.0.attn.to_k";
  tensors.insert_or_assign(other + ".weight", codes);
  tensors.emplace(other + ".weight_scale", make_host_tensor({}, std::vector<float>{0.001F}));
  expect_refusal(on_nano({"--transformer", write("t.safetensors", tensors)}),
                 {layer, "has no scale, but numbers that need one"});
}

TEST_F(WrongFile, HalvesOfTheLastModulation) {
  Tensors tensors = tensors_of(kNano, PartKind::transformer, "BFL");
  const std::string right =
      picture(on_nano({"--transformer", write("d.safetensors", nano_transformer())}));
  EXPECT_TRUE(picture(on_nano({"--transformer", write("t.safetensors", tensors)})) == right);
  Tensor& last = tensors.at("final_layer.adaLN_modulation.1.weight");
  std::vector<float> values = to_vector(last);
  std::rotate(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
              values.end());
  last = make_host_tensor(last.shape(), values);
  EXPECT_FALSE(picture(on_nano({"--transformer", write("t.safetensors", tensors)})) == right);
}

// llama.cpp's names and numbers of a language model.
std::string gguf_of(const Tensors& tensors) {
  const std::vector<std::pair<std::string, std::string>> names = {
      {"self_attn.q_proj", "attn_q"},
      {"self_attn.k_proj", "attn_k"},
      {"self_attn.v_proj", "attn_v"},
      {"self_attn.o_proj", "attn_output"},
      {"mlp.gate_proj", "ffn_gate"},
      {"mlp.up_proj", "ffn_up"},
      {"mlp.down_proj", "ffn_down"},
      {"input_layernorm", "attn_norm"},
      {"model.embed_tokens", "token_embd"},
      {"post_attention_layernorm", "ffn_norm"},
      {"model.norm", "output_norm"},
      {"lm_head", "output"},
      {"model.layers.", "blk."}};
  test::GgufBytes file;
  file.pair("general.architecture", test::kGgufText, test::text_bytes("llama"));
  file.pair("llama.attention.key_length", test::kGgufU32, test::number_bytes<std::uint32_t>(10));
  file.pair("llama.block_count", test::kGgufU32, test::number_bytes<std::uint32_t>(32));
  std::uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    test::GgufTensor entry = {.name = name, .dims = {}, .type = 0, .offset = offset, .data = {}};
    for (const auto& [from, to] : names) {
      const std::size_t at = entry.name.find(from);
      if (at != std::string::npos) entry.name.replace(at, from.size(), to);
    }
    for (int axis = tensor.shape().rank() - 1; axis >= 0; --axis)
      entry.dims.push_back(static_cast<std::uint64_t>(tensor.shape()[axis]));
    const std::vector<float> values = to_vector(tensor);
    entry.data.assign(reinterpret_cast<const char*>(values.data()), values.size() * 4);
    offset = (offset + entry.data.size() + 31) / 32 * 32;
    file.tensor(entry);
  }
  return file.text();
}

// llama.cpp turns the rows of Mistral's queries and keys to pairs; Qwen3's it leaves.
TEST_F(WrongFile, RowsOfMistralInGguf) {
  Tensors halves;
  for (auto& [name, tensor] : tensors_of(kDev, PartKind::text_encoder, "Mistral3, ComfyUI")) {
    if (name.starts_with("model.") || name.starts_with("lm_head")) halves.emplace(name, tensor);
  }
  Tensors pairs = halves;
  constexpr std::int64_t kHead = 10;
  for (auto& [name, tensor] : pairs) {
    if (!name.ends_with("q_proj.weight") && !name.ends_with("k_proj.weight")) continue;
    const std::int64_t rows = tensor.shape()[0], columns = tensor.shape()[1];
    const std::vector<float> values = to_vector(tensor);
    std::vector<float> turned(values.size());
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::int64_t in_head = row % kHead;
      const std::int64_t from = row - in_head + in_head / 2 + in_head % 2 * (kHead / 2);
      std::copy_n(values.begin() + from * columns, columns, turned.begin() + row * columns);
    }
    tensor = make_host_tensor(tensor.shape(), turned);
  }
  const std::string file = out_ / "mistral.gguf";
  const std::vector<std::string> arguments = {"-m", kDev.string(), "--text-encoder",
                                              file, "--tokenizer", kDev / "tokenizer"};
  const std::string right = picture({"-m", kDev.string()});
  std::ofstream(file, std::ios::binary) << gguf_of(pairs);
  EXPECT_TRUE(picture(arguments) == right);
  std::ofstream(file, std::ios::binary) << gguf_of(halves);
  EXPECT_FALSE(picture(arguments) == right);
  std::erase_if(pairs,
                [](const auto& entry) { return entry.first.starts_with("model.layers.31."); });
  std::ofstream(file, std::ios::binary) << gguf_of(pairs);
  expect_refusal(arguments, {"holds 31 of the 32 layers of its model", "get it again"});
}

TEST_F(WrongFile, TheVariantIsNeverGuessed) {
  const std::string file =
      write("klein.safetensors", tensors_of(kNano, PartKind::transformer, "BFL"));
  expect_refusal({"-m", kNano, "--transformer", file},
                 {"nothing here tells which one this is", "--variant klein", "klein-base"});
  expect_refusal({"-m", kNano, "--transformer", file, "--variant", "dev"},
                 {"no guidance embedder"});
}

}  // namespace
}  // namespace flux2
