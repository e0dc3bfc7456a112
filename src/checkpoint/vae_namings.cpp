#include "checkpoint/naming_tables.h"

// The names of latent diffusion's autoencoder, which Black Forest Labs keep. Facts: Diffusers'
// scripts/convert_flux2_to_diffusers.py. FLUX.2's VAE has four levels; the decoder's are counted
// from the other end.

namespace flux2 {
namespace {

using enum Rearrangement;

constexpr NameRule kBflRules[] = {
    {"quant_conv.*", "encoder.quant_conv.*"},
    {"post_quant_conv.*", "decoder.post_quant_conv.*"},

    {"encoder.conv_norm_out.*", "encoder.norm_out.*"},
    {"encoder.down_blocks.{i}.resnets.{j}.conv_shortcut.*",
     "encoder.down.{i}.block.{j}.nin_shortcut.*"},
    {"encoder.down_blocks.{i}.resnets.{j}.*", "encoder.down.{i}.block.{j}.*"},
    {"encoder.down_blocks.{i}.downsamplers.0.conv.*", "encoder.down.{i}.downsample.conv.*"},
    {"encoder.mid_block.resnets.0.*", "encoder.mid.block_1.*"},
    {"encoder.mid_block.resnets.1.*", "encoder.mid.block_2.*"},
    {"encoder.mid_block.attentions.0.group_norm.*", "encoder.mid.attn_1.norm.*"},
    {"encoder.mid_block.attentions.0.to_q.*", "encoder.mid.attn_1.q.*", {}, drop_ones},
    {"encoder.mid_block.attentions.0.to_k.*", "encoder.mid.attn_1.k.*", {}, drop_ones},
    {"encoder.mid_block.attentions.0.to_v.*", "encoder.mid.attn_1.v.*", {}, drop_ones},
    {"encoder.mid_block.attentions.0.to_out.0.*", "encoder.mid.attn_1.proj_out.*", {}, drop_ones},

    {"decoder.conv_norm_out.*", "decoder.norm_out.*"},
    {"decoder.up_blocks.{i}.resnets.{j}.conv_shortcut.*",
     "decoder.up.{3-i}.block.{j}.nin_shortcut.*"},
    {"decoder.up_blocks.{i}.resnets.{j}.*", "decoder.up.{3-i}.block.{j}.*"},
    {"decoder.up_blocks.{i}.upsamplers.0.conv.*", "decoder.up.{3-i}.upsample.conv.*"},
    {"decoder.mid_block.resnets.0.*", "decoder.mid.block_1.*"},
    {"decoder.mid_block.resnets.1.*", "decoder.mid.block_2.*"},
    {"decoder.mid_block.attentions.0.group_norm.*", "decoder.mid.attn_1.norm.*"},
    {"decoder.mid_block.attentions.0.to_q.*", "decoder.mid.attn_1.q.*", {}, drop_ones},
    {"decoder.mid_block.attentions.0.to_k.*", "decoder.mid.attn_1.k.*", {}, drop_ones},
    {"decoder.mid_block.attentions.0.to_v.*", "decoder.mid.attn_1.v.*", {}, drop_ones},
    {"decoder.mid_block.attentions.0.to_out.0.*", "decoder.mid.attn_1.proj_out.*", {}, drop_ones},
};

// Files from before Diffusers' class Attention.
constexpr NameRule kOldAttentionRules[] = {
    {"encoder.mid_block.attentions.{i}.to_q.*", "encoder.mid_block.attentions.{i}.query.*"},
    {"encoder.mid_block.attentions.{i}.to_k.*", "encoder.mid_block.attentions.{i}.key.*"},
    {"encoder.mid_block.attentions.{i}.to_v.*", "encoder.mid_block.attentions.{i}.value.*"},
    {"encoder.mid_block.attentions.{i}.to_out.0.*", "encoder.mid_block.attentions.{i}.proj_attn.*"},
    {"decoder.mid_block.attentions.{i}.to_q.*", "decoder.mid_block.attentions.{i}.query.*"},
    {"decoder.mid_block.attentions.{i}.to_k.*", "decoder.mid_block.attentions.{i}.key.*"},
    {"decoder.mid_block.attentions.{i}.to_v.*", "decoder.mid_block.attentions.{i}.value.*"},
    {"decoder.mid_block.attentions.{i}.to_out.0.*", "decoder.mid_block.attentions.{i}.proj_attn.*"},
};

constexpr std::string_view kPrefixes[] = {"", "vae.", "first_stage_model."};

constexpr Naming kNamings[] = {
    {.part = PartKind::vae,
     .name = "BFL",
     .signs = {"decoder.mid.block_1.conv1.weight", "encoder.mid.block_1.conv1.weight"},
     .prefixes = kPrefixes,
     .rules = kBflRules},
    {.part = PartKind::vae,
     .name = "Diffusers, old attention",
     .signs = {"decoder.mid_block.attentions.0.query.weight",
               "encoder.mid_block.attentions.0.query.weight"},
     .prefixes = kPrefixes,
     .rules = kOldAttentionRules},
    {.part = PartKind::vae,
     .name = "Diffusers",
     .signs = {"decoder.mid_block.resnets.0.conv1.weight",
               "encoder.mid_block.resnets.0.conv1.weight"},
     .prefixes = kPrefixes,
     .rules = {}},
};

}  // namespace

std::span<const Naming> vae_namings() {
  return kNamings;
}

}  // namespace flux2
