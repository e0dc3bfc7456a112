#include "checkpoint/naming_tables.h"

// Black Forest Labs' own names, which ComfyUI and GGUF files keep. Facts: Diffusers'
// scripts/convert_flux2_to_diffusers.py.

namespace flux2 {
namespace {

using enum Rearrangement;

constexpr NameRule kBflRules[] = {
    {"x_embedder.*", "img_in.*"},
    {"context_embedder.*", "txt_in.*"},
    {"time_guidance_embed.timestep_embedder.linear_1.*", "time_in.in_layer.*"},
    {"time_guidance_embed.timestep_embedder.linear_2.*", "time_in.out_layer.*"},
    {"time_guidance_embed.guidance_embedder.linear_1.*", "guidance_in.in_layer.*"},
    {"time_guidance_embed.guidance_embedder.linear_2.*", "guidance_in.out_layer.*"},
    {"double_stream_modulation_img.linear.*", "double_stream_modulation_img.lin.*"},
    {"double_stream_modulation_txt.linear.*", "double_stream_modulation_txt.lin.*"},
    {"single_stream_modulation.linear.*", "single_stream_modulation.lin.*"},
    // BFL's rows are shift, scale; Diffusers' are scale, shift.
    {"norm_out.linear.*", "final_layer.adaLN_modulation.1.*", {}, swap_halves},
    {"proj_out.*", "final_layer.linear.*"},

    {"transformer_blocks.{i}.attn.to_q.*", "double_blocks.{i}.img_attn.qkv.*", {0, 3}},
    {"transformer_blocks.{i}.attn.to_k.*", "double_blocks.{i}.img_attn.qkv.*", {1, 3}},
    {"transformer_blocks.{i}.attn.to_v.*", "double_blocks.{i}.img_attn.qkv.*", {2, 3}},
    {"transformer_blocks.{i}.attn.add_q_proj.*", "double_blocks.{i}.txt_attn.qkv.*", {0, 3}},
    {"transformer_blocks.{i}.attn.add_k_proj.*", "double_blocks.{i}.txt_attn.qkv.*", {1, 3}},
    {"transformer_blocks.{i}.attn.add_v_proj.*", "double_blocks.{i}.txt_attn.qkv.*", {2, 3}},
    {"transformer_blocks.{i}.attn.to_out.0.*", "double_blocks.{i}.img_attn.proj.*"},
    {"transformer_blocks.{i}.attn.to_add_out.*", "double_blocks.{i}.txt_attn.proj.*"},
    {"transformer_blocks.{i}.attn.norm_q.weight",
     "double_blocks.{i}.img_attn.norm.query_norm.scale"},
    {"transformer_blocks.{i}.attn.norm_k.weight", "double_blocks.{i}.img_attn.norm.key_norm.scale"},
    {"transformer_blocks.{i}.attn.norm_added_q.weight",
     "double_blocks.{i}.txt_attn.norm.query_norm.scale"},
    {"transformer_blocks.{i}.attn.norm_added_k.weight",
     "double_blocks.{i}.txt_attn.norm.key_norm.scale"},
    {"transformer_blocks.{i}.ff.linear_in.*", "double_blocks.{i}.img_mlp.0.*"},
    {"transformer_blocks.{i}.ff.linear_out.*", "double_blocks.{i}.img_mlp.2.*"},
    {"transformer_blocks.{i}.ff_context.linear_in.*", "double_blocks.{i}.txt_mlp.0.*"},
    {"transformer_blocks.{i}.ff_context.linear_out.*", "double_blocks.{i}.txt_mlp.2.*"},

    {"single_transformer_blocks.{i}.attn.to_qkv_mlp_proj.*", "single_blocks.{i}.linear1.*"},
    {"single_transformer_blocks.{i}.attn.to_out.*", "single_blocks.{i}.linear2.*"},
    {"single_transformer_blocks.{i}.attn.norm_q.weight", "single_blocks.{i}.norm.query_norm.scale"},
    {"single_transformer_blocks.{i}.attn.norm_k.weight", "single_blocks.{i}.norm.key_norm.scale"},

    // Some exports call the scale of a norm its weight.
    {"transformer_blocks.{i}.attn.norm_q.weight",
     "double_blocks.{i}.img_attn.norm.query_norm.weight"},
    {"transformer_blocks.{i}.attn.norm_k.weight",
     "double_blocks.{i}.img_attn.norm.key_norm.weight"},
    {"transformer_blocks.{i}.attn.norm_added_q.weight",
     "double_blocks.{i}.txt_attn.norm.query_norm.weight"},
    {"transformer_blocks.{i}.attn.norm_added_k.weight",
     "double_blocks.{i}.txt_attn.norm.key_norm.weight"},
    {"single_transformer_blocks.{i}.attn.norm_q.weight",
     "single_blocks.{i}.norm.query_norm.weight"},
    {"single_transformer_blocks.{i}.attn.norm_k.weight", "single_blocks.{i}.norm.key_norm.weight"},
};

constexpr std::string_view kPrefixes[] = {"", "model.diffusion_model.", "diffusion_model.",
                                          "transformer."};

constexpr Naming kNamings[] = {
    {.part = PartKind::transformer,
     .name = "Diffusers",
     .signs = {"single_stream_modulation.linear.weight",
               "double_stream_modulation_img.linear.weight"},
     .prefixes = kPrefixes,
     .rules = {}},
    {.part = PartKind::transformer,
     .name = "BFL",
     .signs = {"single_stream_modulation.lin.weight", "double_stream_modulation_img.lin.weight"},
     .prefixes = kPrefixes,
     .rules = kBflRules},
};

}  // namespace

std::span<const Naming> transformer_namings() {
  return kNamings;
}

}  // namespace flux2
