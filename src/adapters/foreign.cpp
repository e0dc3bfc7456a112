#include "adapters/foreign.h"

#include <algorithm>
#include <array>
#include <string>

namespace flux2 {
namespace {

struct Sign {
  std::string_view fragment;  // of a key, dots written as underscores
  std::string_view model;
};

// The first that is found speaks: what several models share stands behind what tells them apart.
constexpr std::array kSigns = {
    Sign{"noise_refiner_", "Z-Image or Lumina 2"},
    Sign{"context_refiner_", "Z-Image or Lumina 2"},
    Sign{"layers_0_attention_to_q", "Z-Image"},
    Sign{"transformer_blocks_0_img_mod_1", "Qwen-Image"},
    Sign{"transformer_blocks_0_txt_mod_1", "Qwen-Image"},
    Sign{"_img_mlp_net_", "Qwen-Image"},
    Sign{"_txt_mlp_net_", "Qwen-Image"},
    Sign{"_x_block_", "Stable Diffusion 3"},
    Sign{"_context_block_", "Stable Diffusion 3"},
    Sign{"_img_mod_linear", "HunyuanVideo"},
    Sign{"_cross_attn_", "Wan"},
    Sign{"_img_mod_lin", "FLUX.1"},
    Sign{"_txt_mod_lin", "FLUX.1"},
    Sign{"_modulation_lin", "FLUX.1"},
    Sign{"_proj_mlp", "FLUX.1"},
    Sign{"double_blocks_18_", "FLUX.1"},
    Sign{"single_transformer_blocks_0_attn_to_q_", "FLUX.1"},
    Sign{"single_transformer_blocks_0_attn_to_k_", "FLUX.1"},
    Sign{"single_transformer_blocks_0_attn_to_v_", "FLUX.1"},
    Sign{"transformer_blocks_0_ff_net_", "FLUX.1 or Stable Diffusion 3"},
    Sign{"transformer_blocks_0_norm1_linear", "FLUX.1 or Stable Diffusion 3"},
    Sign{"transformer_blocks_0_ff_context_net_", "FLUX.1 or Stable Diffusion 3"},
    Sign{"lora_te2_", "Stable Diffusion XL"},
    Sign{"down_blocks_2_attentions_1_transformer_blocks_9_", "Stable Diffusion XL"},
    Sign{"input_blocks_8_1_transformer_blocks_9_", "Stable Diffusion XL"},
    Sign{"middle_block_1_transformer_blocks_", "Stable Diffusion 1, 2 or XL"},
    Sign{"down_blocks_", "Stable Diffusion 1, 2 or XL"},
    Sign{"input_blocks_", "Stable Diffusion 1, 2 or XL"},
    Sign{"mid_block_attentions_", "Stable Diffusion 1, 2 or XL"},
};

std::string underscored(std::string_view name) {
  std::string result(name);
  std::replace(result.begin(), result.end(), '.', '_');
  return result + "_";
}

}  // namespace

std::string_view foreign_model(const AdapterFile& adapter) {
  for (const Sign& sign : kSigns) {
    for (const auto& [name, module] : adapter.modules) {
      // FLUX.2's own modulations are shared by all blocks.
      const std::string key = underscored(name);
      if (key.find("_stream_modulation") != std::string::npos) continue;
      if (key.find(sign.fragment) != std::string::npos) return sign.model;
    }
  }
  return {};
}

}  // namespace flux2
