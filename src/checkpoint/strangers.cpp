#include "checkpoint/strangers.h"

#include <array>

namespace flux2 {
namespace {

struct Sign {
  std::string_view name;  // a pattern of name_rules.h, or the end of a name after "~"
  Stranger stranger;
};

constexpr std::string_view kOther = "flux2 draws with FLUX.2 models only";
constexpr std::string_view kAdapter = "an adapter changes a model and is none: give the model";
constexpr std::string_view kEncoder =
    "FLUX.2 [klein] takes Qwen3, FLUX.2 [dev] Mistral-Small-3 as its text encoder";

// The first that matches speaks; adapters first, since they keep the names of what they change.
constexpr std::array kSigns = {
    Sign{"~.lora_A.weight", {"a LoRA", kAdapter}},
    Sign{"~.lora_down.weight", {"a LoRA", kAdapter}},
    Sign{"~.lora_up.weight", {"a LoRA", kAdapter}},
    Sign{"~.lora_A.default.weight", {"a LoRA", kAdapter}},
    Sign{"~.lokr_w1", {"a LoKr adapter", kAdapter}},
    Sign{"~.lokr_w1_a", {"a LoKr adapter", kAdapter}},
    Sign{"~.hada_w1_a", {"a LoHa adapter", kAdapter}},

    Sign{"~double_blocks.0.img_mod.lin.weight", {"a FLUX.1 transformer", kOther}},
    Sign{"single_transformer_blocks.{i}.norm.linear.weight", {"a FLUX.1 transformer", kOther}},
    Sign{"~double_blocks.0.img_mod.linear.weight", {"a HunyuanVideo transformer", kOther}},
    Sign{"~distilled_guidance_layer.in_proj.weight", {"a Chroma transformer", kOther}},
    Sign{"~input_blocks.0.0.weight", {"a Stable Diffusion 1, 2 or XL checkpoint", kOther}},
    Sign{"down_blocks.{i}.resnets.{j}.time_emb_proj.weight",
         {"a Stable Diffusion 1, 2 or XL UNet", kOther}},
    Sign{"~joint_blocks.0.x_block.attn.qkv.weight", {"a Stable Diffusion 3 transformer", kOther}},
    Sign{"transformer_blocks.{i}.norm1_context.linear.weight",
         {"a Stable Diffusion 3 or FLUX.1 transformer", kOther}},
    Sign{"~transformer_blocks.0.img_mod.1.weight", {"a Qwen-Image transformer", kOther}},
    Sign{"~noise_refiner.0.attention.qkv.weight", {"a Z-Image or Lumina 2 transformer", kOther}},
    Sign{"~noise_refiner.0.attention.to_q.weight", {"a Z-Image transformer", kOther}},
    Sign{"~noise_refiner.0.attn.to_q.weight", {"a Lumina 2 transformer", kOther}},
    Sign{"~blocks.0.cross_attn.q.weight", {"a Wan transformer", kOther}},

    Sign{"~encoder.block.0.layer.0.SelfAttention.q.weight", {"a T5 text encoder", kEncoder}},
    Sign{"~text_model.encoder.layers.0.mlp.fc1.weight", {"a CLIP text encoder", kEncoder}},
    Sign{"~layers.0.self_attn.q_proj.bias", {"a Qwen2 or Qwen2.5 language model", kEncoder}},
    Sign{"blk.0.attn_q.bias", {"a Qwen2 or Qwen2.5 language model", kEncoder}},
    Sign{"~layers.0.pre_feedforward_layernorm.weight", {"a Gemma language model", kEncoder}},
    Sign{"v.patch_embd.weight",
         {"the vision tower of a language model", "give the language model's own file"}},
};

bool matches(std::string_view sign, std::string_view name) {
  if (sign.starts_with('~')) return name.ends_with(sign.substr(1));
  return match_name(sign, name).has_value();
}

}  // namespace

std::optional<Stranger> find_stranger(const TensorMap& tensors) {
  for (const Sign& sign : kSigns) {
    for (const auto& [name, tensor] : tensors) {
      if (matches(sign.name, name)) return sign.stranger;
    }
  }
  return std::nullopt;
}

}  // namespace flux2
