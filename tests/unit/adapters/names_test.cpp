// Which weights the modules of every known naming mean, and what becomes of the others.
#include <cmath>
#include <limits>

#include "small_model.h"

namespace flux2::test {
namespace {

struct KeyCase {
  const char* key;
  const char* module;
  AdapterRole role;
};

TEST(AdapterKeys, OfEveryForm) {
  const KeyCase cases[] = {
      {"transformer.x.lora_A.weight", "transformer.x", AdapterRole::down},
      {"x.lora_B.weight", "x", AdapterRole::up},
      {"x.lora_A.default.weight", "x", AdapterRole::down},
      {"x.lora_B.my_name.weight", "x", AdapterRole::up},
      {"lora_unet_x.lora_down.weight", "lora_unet_x", AdapterRole::down},
      {"lora_unet_x.lora_up.weight", "lora_unet_x", AdapterRole::up},
      {"x.lora.down.weight", "x", AdapterRole::down},
      {"x_lora.up.weight", "x", AdapterRole::up},
      {"x.lora_linear_layer.up.weight", "x", AdapterRole::up},
      {"x.lora_mid.weight", "x", AdapterRole::mid},
      {"x.alpha", "x", AdapterRole::alpha},
      {"x.dora_scale", "x", AdapterRole::magnitude},
      {"x.lora_magnitude_vector", "x", AdapterRole::magnitude},
      {"x.lora_magnitude_vector.weight", "x", AdapterRole::magnitude},
      {"x.lora_magnitude_vector.default.weight", "x", AdapterRole::magnitude},
      {"x.lora_magnitude_vector.default", "x", AdapterRole::magnitude},
      {"x.lokr_w2_b", "x", AdapterRole::lokr_w2_b},
      {"x.lokr_w1", "x", AdapterRole::lokr_w1},
      {"x.hada_t2", "x", AdapterRole::hada_t2},
      {"x.diff", "x", AdapterRole::diff},
      {"x.w_norm", "x", AdapterRole::diff},
  };
  for (const KeyCase& expected : cases) {
    const std::optional<AdapterKey> key = parse_adapter_key(expected.key);
    ASSERT_TRUE(key) << expected.key;
    EXPECT_EQ(key->module, expected.module) << expected.key;
    EXPECT_EQ(key->role, expected.role) << expected.key;
  }
  for (const char* key : {"x.weight", "x.diff_b", "x.lora_B.bias", "lora_A.weight", ".alpha", "",
                          "x.lora_embedding_A", "x.lora_A.a.b.weight"}) {
    EXPECT_FALSE(parse_adapter_key(key)) << key;
  }
}

struct NameCase {
  const char* module;
  const char* first;  // of its weights
  std::size_t count = 1;
  bool swapped = false;
};

constexpr const char* kQ = "transformer_blocks.0.attn.to_q.weight";
constexpr const char* kAddQ = "transformer_blocks.0.attn.add_q_proj.weight";
constexpr const char* kOut = "transformer_blocks.0.attn.to_out.0.weight";
constexpr const char* kMlp = "transformer_blocks.0.ff_context.linear_out.weight";
constexpr const char* kLinear1 = "single_transformer_blocks.0.attn.to_qkv_mlp_proj.weight";
constexpr const char* kLast = "norm_out.linear.weight";

TEST(AdapterModules, OfEveryNaming) {
  const SmallModel model;
  const NameCase cases[] = {
      // Diffusers and PEFT, DiffSynth, ComfyUI's bare names
      {"transformer.transformer_blocks.0.attn.to_q", kQ},
      {"transformer_blocks.0.attn.to_out.0", kOut},
      {"base_model.model.transformer_blocks.0.attn.to_q", kQ},
      {"base_model.model.transformer.single_transformer_blocks.0.attn.to_qkv_mlp_proj", kLinear1},
      {"pipe.dit.transformer_blocks.0.ff_context.linear_out", kMlp},
      {"transformer.norm_out.linear", kLast},
      // Diffusers' blocks under ComfyUI's prefix, and the cut name of them
      {"diffusion_model.transformer_blocks.0.attn.add_q_proj", kAddQ},
      {"diffusion_model.sformer_blocks.0.attn.add_q_proj", kAddQ},
      {"transformer.transformer_blocks.0.attn.to_qkv", kQ, 3},
      {"transformer.transformer_blocks.0.attn.to_added_qkv", kAddQ, 3},
      // BFL, ai-toolkit, fal
      {"diffusion_model.double_blocks.0.img_attn.qkv", kQ, 3},
      {"model.diffusion_model.double_blocks.0.txt_attn.qkv", kAddQ, 3},
      {"base_model.model.double_blocks.0.img_attn.proj", kOut},
      {"double_blocks.0.txt_mlp.2", kMlp},
      {"diffusion_model.single_blocks.0.linear1", kLinear1},
      {"diffusion_model.img_in", "x_embedder.weight"},
      {"diffusion_model.txt_in", "context_embedder.weight"},
      {"diffusion_model.time_in.in_layer", "time_guidance_embed.timestep_embedder.linear_1.weight"},
      {"diffusion_model.double_stream_modulation_img.lin",
       "double_stream_modulation_img.linear.weight"},
      {"diffusion_model.final_layer.linear", "proj_out.weight"},
      {"diffusion_model.final_layer.adaLN_modulation.1", kLast, 1, true},
      // kohya and musubi
      {"lora_unet_double_blocks_0_img_attn_qkv", kQ, 3},
      {"lora_unet_double_blocks_0_txt_mlp_2", kMlp},
      {"lora_unet_single_blocks_0_linear1", kLinear1},
      {"lora_unet_img_in", "x_embedder.weight"},
      {"lora_unet_single_stream_modulation_lin", "single_stream_modulation.linear.weight"},
      {"lora_unet_final_layer_adaLN_modulation_1", kLast, 1, true},
      // OneTrainer, LyCORIS
      {"lora_transformer_transformer_blocks_0_attn_to_out_0", kOut},
      {"lora_transformer_single_transformer_blocks_0_attn_to_qkv_mlp_proj", kLinear1},
      {"lycoris_transformer_blocks_0_attn_to_q", kQ},
      {"lycoris_transformer_blocks_0_ff_context_linear_out", kMlp},
  };
  for (const NameCase& expected : cases) {
    const ModuleTargets* targets = model.parts[0].find(expected.module);
    ASSERT_NE(targets, nullptr) << expected.module;
    ASSERT_EQ(targets->size(), expected.count) << expected.module;
    EXPECT_EQ(targets->front().weight, expected.first) << expected.module;
    EXPECT_EQ(targets->front().swapped, expected.swapped) << expected.module;
    EXPECT_EQ(targets->back().part.index, static_cast<int>(expected.count) - 1);
  }
  for (const char* module : {"", "transformer.", "lora_unet_", "double_blocks.1.img_attn.qkv",
                             "transformer_blocks.0.attn.to_qq", "double_blocks.0.img_attn"}) {
    EXPECT_EQ(model.parts[0].find(module), nullptr) << module;
  }
}

TEST(AdapterModules, OfTextEncoders) {
  Tensors tensors;
  tensors.matrix("model.layers.0.self_attn.q_proj.weight", 4, 4);
  tensors.matrix("model.layers.11.mlp.down_proj.weight", 4, 8);
  const ModuleIndex qwen(PartKind::text_encoder, tensors.weights.tensors);
  for (const char* module :
       {"text_encoder.model.layers.0.self_attn.q_proj", "lora_te_layers_0_self_attn_q_proj",
        "lora_te1_model_layers_0_self_attn_q_proj", "layers.0.self_attn.q_proj",
        "base_model.model.model.layers.0.self_attn.q_proj",
        "text_encoders.qwen3_4b.transformer.model.layers.0.self_attn.q_proj"}) {
    EXPECT_NE(qwen.find(module), nullptr) << module;
  }
  Tensors dev;
  dev.matrix("language_model.model.layers.0.self_attn.q_proj.weight", 4, 4);
  const ModuleIndex mistral(PartKind::text_encoder, dev.weights.tensors);
  for (const char* module : {"text_encoder.language_model.model.layers.0.self_attn.q_proj",
                             "text_encoder.model.language_model.layers.0.self_attn.q_proj",
                             "lora_te_layers_0_self_attn_q_proj"}) {
    EXPECT_NE(mistral.find(module), nullptr) << module;
  }
}

class Refusals : public ::testing::Test {
 protected:
  std::string refusal(const MatchOptions& options = {}) {
    return refusal_of([&] { match(options); });
  }
  MatchedAdapter match(const MatchOptions& options = {}) {
    return match_adapter(parse_adapter(file_.weights, "some.safetensors"), model_.parts, options);
  }
  void add_good_module() {
    file_.matrix("transformer.x_embedder.lora_B.weight", SmallModel::kWidth, 2);
    file_.matrix("transformer.x_embedder.lora_A.weight", 2, 130);
  }
  void add_lora(const std::string& module, std::int64_t rows = 6, std::int64_t columns = 6) {
    file_.matrix(module + ".lora_up.weight", rows, 2);
    file_.matrix(module + ".lora_down.weight", 2, columns);
  }
  void expect_refusal(const std::string& part, const MatchOptions& options = {}) {
    const std::string line = refusal(options);
    EXPECT_NE(line.find(part), std::string::npos) << line;
    EXPECT_NE(line.find("some.safetensors"), std::string::npos) << line;
  }

  SmallModel model_;
  Tensors file_;
};

TEST_F(Refusals, KeysThatAreNotUnderstoodAreNamed) {
  add_good_module();
  file_.matrix("transformer.x_embedder.mystery", 2, 2);
  expect_refusal("\"transformer.x_embedder.mystery\"");
  const MatchedAdapter lenient = match({.leniency = Leniency::lenient});
  EXPECT_EQ(lenient.matched, 1u);
  EXPECT_EQ(lenient.left_out, std::vector<std::string>{"transformer.x_embedder.mystery"});
}

TEST_F(Refusals, ModulesThatAreNotTheModelsAreNamed) {
  add_good_module();
  add_lora("transformer.transformer_blocks.7.attn.to_q");
  expect_refusal("transformer_blocks.7.attn.to_q");
  const MatchedAdapter lenient = match({.leniency = Leniency::lenient});
  EXPECT_EQ(lenient.matched, 1u);
  EXPECT_EQ(lenient.modules, 2u);
}

TEST_F(Refusals, NothingThatFitsIsAnErrorInAnyCase) {
  add_lora("transformer.layers.0.mlp");
  expect_refusal("none of its 1 modules", {.leniency = Leniency::lenient});
  Tensors empty;
  EXPECT_NE(refusal_of([&] {
              match_adapter(parse_adapter(empty.weights, "e"), model_.parts, {});
            }).find("holds no adapter"),
            std::string::npos);
}

TEST_F(Refusals, OfAnotherWidth) {
  add_good_module();
  add_lora("diffusion_model.single_blocks.0.linear1", 21, 6);
  expect_refusal("changes a weight of [21, 6], and this model's is [38, 6]");
}

TEST_F(Refusals, OtherModelsAdaptersAreCalledByName) {
  const std::pair<const char*, const char*> cases[] = {
      {"lora_unet_double_blocks_18_img_attn_qkv", "FLUX.1"},
      {"lora_unet_single_blocks_0_modulation_lin", "FLUX.1"},
      {"transformer.single_transformer_blocks.0.proj_mlp", "FLUX.1"},
      {"transformer.single_transformer_blocks.0.attn.to_q", "FLUX.1"},
      {"lora_unet_down_blocks_2_attentions_1_transformer_blocks_9_attn1_to_q",
       "Stable Diffusion XL"},
      {"lora_unet_input_blocks_8_1_transformer_blocks_9_attn1_to_q", "Stable Diffusion XL"},
      {"lora_unet_mid_block_attentions_0_proj_in", "Stable Diffusion 1, 2 or XL"},
      {"diffusion_model.joint_blocks.0.x_block.attn.qkv", "Stable Diffusion 3"},
      {"transformer.transformer_blocks.0.img_mod.1", "Qwen-Image"},
      {"transformer.transformer_blocks.3.img_mlp.net.2", "Qwen-Image"},
      {"diffusion_model.layers.0.attention.to_q", "Z-Image"},
      {"diffusion_model.blocks.0.cross_attn.q", "Wan"},
      {"transformer.double_blocks.0.img_mod.linear", "HunyuanVideo"},
  };
  for (const auto& [module, name] : cases) {
    Tensors file;
    file.matrix(std::string(module) + ".lora_up.weight", 6, 2);
    file.matrix(std::string(module) + ".lora_down.weight", 2, 6);
    const std::string line =
        refusal_of([&] { match_adapter(parse_adapter(file.weights, "some"), model_.parts, {}); });
    EXPECT_NE(line.find(std::string("is an adapter for ") + name), std::string::npos) << line;
  }
}

TEST_F(Refusals, IncompleteAndMisshapenModules) {
  add_good_module();
  const std::string key = "transformer.proj_out.";
  file_.matrix(key + "lora_A.weight", 2, 6);
  expect_refusal("has no up");
  file_.matrix(key + "lora_B.weight", 7, 3);
  expect_refusal("does not fit");
  file_.matrix(key + "lora_B.weight", 7, 2);
  EXPECT_EQ(match().matched, 2u);
  file_.matrix(key + "hada_w1_a", 7, 2);
  expect_refusal("does not belong to the tensors beside it");
  file_.weights.tensors.erase(key + "hada_w1_a");
  file_.matrix(key + "dora_scale", 6, 1);
  expect_refusal("has not the length");
  file_.weights.tensors.erase(key + "dora_scale");
  file_.reshape(key + "lora_B.weight", {14});
  expect_refusal("is no matrix");
}

TEST_F(Refusals, TwoSpellingsAndTwoModulesOfOneWeight) {
  add_good_module();
  file_.matrix("transformer.x_embedder.lora_up.weight", 6, 2);
  expect_refusal("are the same one in two spellings");
  Tensors file;
  for (const char* module : {"transformer.x_embedder", "diffusion_model.img_in"}) {
    file.matrix(std::string(module) + ".lora_up.weight", 6, 2);
    file.matrix(std::string(module) + ".lora_down.weight", 2, 130);
  }
  EXPECT_NE(refusal_of([&] {
              match_adapter(parse_adapter(file.weights, "some"), model_.parts, {});
            }).find("change the same weight"),
            std::string::npos);
}

TEST_F(Refusals, NumbersThatAreNone) {
  add_good_module();
  file_.number("transformer.x_embedder.alpha", std::numeric_limits<float>::infinity());
  expect_refusal("not a number");
  file_.floats("transformer.x_embedder.alpha", {2}, {1, 1});
  expect_refusal("not one number");
  file_.number("transformer.x_embedder.alpha", 1);
  file_.floats("transformer.x_embedder.lora_A.weight", {1, 2}, {1, std::nanf("")});
  EXPECT_THROW(match(), Error);
  file_.floats("transformer.x_embedder.lora_A.weight", {0, 2}, {});
  expect_refusal("not real numbers");
}

double scale_of(const Tensors& file, const SmallModel& model, const std::string& config = {}) {
  const MatchedAdapter matched =
      match_adapter(parse_adapter(file.weights, "some", config), model.parts, {});
  return matched.terms.at(PartKind::transformer).begin()->second[0].plan->scale;
}

TEST_F(Refusals, AlphaFromTheConfiguration) {
  add_good_module();
  EXPECT_EQ(scale_of(file_, model_), 1);
  EXPECT_EQ(scale_of(file_, model_, R"({"lora_alpha": 6, "r": 2})"), 3);
  EXPECT_NEAR(scale_of(file_, model_, R"({"lora_alpha": 6, "use_rslora": true})"),
              6 / std::sqrt(2.0), 1e-12);
  EXPECT_EQ(scale_of(file_, model_, R"({"lora_alpha": 6, "alpha_pattern": {"x_embedder": 1}})"),
            0.5);
  EXPECT_EQ(scale_of(file_, model_, R"({"lora_alpha": 6, "alpha_pattern": {"embedder": 1}})"), 3);
  file_.weights.metadata =
      Metadata({{"lora_adapter_metadata", std::string(R"({"transformer.lora_alpha": 4})")}});
  EXPECT_EQ(scale_of(file_, model_), 2);
  file_.number("transformer.x_embedder.alpha", 10);
  EXPECT_EQ(scale_of(file_, model_), 5);
  EXPECT_THROW(scale_of(file_, model_, "{"), Error);
}

TEST_F(Refusals, WhatItIsIsSaid) {
  add_good_module();
  EXPECT_EQ(match().kind, "LoRA of rank 2");
  file_.matrix("transformer.proj_out.lora_up.weight", 7, 4);
  file_.matrix("transformer.proj_out.lora_down.weight", 4, 6);
  file_.matrix("transformer.proj_out.dora_scale", 7, 1);
  EXPECT_EQ(match().kind, "DoRA, LoRA of rank up to 4");
}

}  // namespace
}  // namespace flux2::test
