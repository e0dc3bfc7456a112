#include "checkpoint/naming_tables.h"

// The names of Qwen3 (FLUX.2 [klein]) and Mistral-Small-3 (FLUX.2 [dev]). Canonical is what
// transformers' save_pretrained writes. Facts: transformers' convert_mistral3_weights_to_hf.py,
// the tables of llama.cpp and ComfyUI-GGUF.

namespace flux2 {
namespace {

using enum Rearrangement;

constexpr NameRule kQwen3BareRules[] = {
    {"model.embed_tokens.*", "embed_tokens.*"},
    {"model.layers.*", "layers.*"},
    {"model.norm.*", "norm.*"},
};

constexpr NameRule kQwen3GgufRules[] = {
    {"model.embed_tokens.*", "token_embd.*"},
    {"model.norm.*", "output_norm.*"},
    {"lm_head.*", "output.*"},
    {"model.layers.{i}.input_layernorm.*", "blk.{i}.attn_norm.*"},
    {"model.layers.{i}.self_attn.q_proj.*", "blk.{i}.attn_q.*"},
    {"model.layers.{i}.self_attn.k_proj.*", "blk.{i}.attn_k.*"},
    {"model.layers.{i}.self_attn.v_proj.*", "blk.{i}.attn_v.*"},
    {"model.layers.{i}.self_attn.o_proj.*", "blk.{i}.attn_output.*"},
    {"model.layers.{i}.self_attn.q_norm.*", "blk.{i}.attn_q_norm.*"},
    {"model.layers.{i}.self_attn.k_norm.*", "blk.{i}.attn_k_norm.*"},
    {"model.layers.{i}.post_attention_layernorm.*", "blk.{i}.ffn_norm.*"},
    {"model.layers.{i}.mlp.gate_proj.*", "blk.{i}.ffn_gate.*"},
    {"model.layers.{i}.mlp.up_proj.*", "blk.{i}.ffn_up.*"},
    {"model.layers.{i}.mlp.down_proj.*", "blk.{i}.ffn_down.*"},
};

// transformers' own module tree since 4.52.
constexpr NameRule kMistralTreeRules[] = {
    {"language_model.model.*", "model.language_model.*"},
    {"language_model.lm_head.*", "lm_head.*"},
    {"vision_tower.*", "model.vision_tower.*"},
    {"multi_modal_projector.*", "model.multi_modal_projector.*"},
};

// ComfyUI's files, with or without the vision tower.
constexpr NameRule kMistralComfyRules[] = {
    {"language_model.model.*", "model.*"},
    {"language_model.lm_head.*", "lm_head.*"},
};

constexpr NameRule kMistralBareRules[] = {
    {"language_model.model.embed_tokens.*", "embed_tokens.*"},
    {"language_model.model.layers.*", "layers.*"},
    {"language_model.model.norm.*", "norm.*"},
    {"language_model.lm_head.*", "lm_head.*"},
};

// Mistral's own files: consolidated.safetensors.
constexpr NameRule kMistralNativeRules[] = {
    {"language_model.model.embed_tokens.*", "tok_embeddings.*"},
    {"language_model.model.norm.*", "norm.*"},
    {"language_model.lm_head.*", "output.*"},
    {"language_model.model.layers.{i}.input_layernorm.*", "layers.{i}.attention_norm.*"},
    {"language_model.model.layers.{i}.self_attn.q_proj.*",
     "layers.{i}.attention.wq.*",
     {},
     split_text_rotary},
    {"language_model.model.layers.{i}.self_attn.k_proj.*",
     "layers.{i}.attention.wk.*",
     {},
     split_text_rotary},
    {"language_model.model.layers.{i}.self_attn.v_proj.*", "layers.{i}.attention.wv.*"},
    {"language_model.model.layers.{i}.self_attn.o_proj.*", "layers.{i}.attention.wo.*"},
    {"language_model.model.layers.{i}.post_attention_layernorm.*", "layers.{i}.ffn_norm.*"},
    {"language_model.model.layers.{i}.mlp.gate_proj.*", "layers.{i}.feed_forward.w1.*"},
    {"language_model.model.layers.{i}.mlp.down_proj.*", "layers.{i}.feed_forward.w2.*"},
    {"language_model.model.layers.{i}.mlp.up_proj.*", "layers.{i}.feed_forward.w3.*"},

    {"vision_tower.patch_conv.*", "vision_encoder.patch_conv.*"},
    {"vision_tower.ln_pre.*", "vision_encoder.ln_pre.*"},
    {"vision_tower.transformer.layers.{i}.attention.q_proj.*",
     "vision_encoder.transformer.layers.{i}.attention.wq.*",
     {},
     split_vision_rotary},
    {"vision_tower.transformer.layers.{i}.attention.k_proj.*",
     "vision_encoder.transformer.layers.{i}.attention.wk.*",
     {},
     split_vision_rotary},
    {"vision_tower.transformer.layers.{i}.attention.v_proj.*",
     "vision_encoder.transformer.layers.{i}.attention.wv.*"},
    {"vision_tower.transformer.layers.{i}.attention.o_proj.*",
     "vision_encoder.transformer.layers.{i}.attention.wo.*"},
    {"vision_tower.transformer.layers.{i}.feed_forward.gate_proj.*",
     "vision_encoder.transformer.layers.{i}.feed_forward.w1.*"},
    {"vision_tower.transformer.layers.{i}.feed_forward.down_proj.*",
     "vision_encoder.transformer.layers.{i}.feed_forward.w2.*"},
    {"vision_tower.transformer.layers.{i}.feed_forward.up_proj.*",
     "vision_encoder.transformer.layers.{i}.feed_forward.w3.*"},
    {"vision_tower.transformer.layers.{i}.attention_norm.*",
     "vision_encoder.transformer.layers.{i}.attention_norm.*"},
    {"vision_tower.transformer.layers.{i}.ffn_norm.*",
     "vision_encoder.transformer.layers.{i}.ffn_norm.*"},
    {"multi_modal_projector.norm.*", "pre_mm_projector_norm.*"},
    {"multi_modal_projector.patch_merger.merging_layer.*", "patch_merger.merging_layer.*"},
    {"multi_modal_projector.linear_1.*", "vision_language_adapter.w_in.*"},
    {"multi_modal_projector.linear_2.*", "vision_language_adapter.w_out.*"},
};

// llama.cpp lays the rows of queries and keys out as Mistral does.
constexpr NameRule kMistralGgufRules[] = {
    {"language_model.model.embed_tokens.*", "token_embd.*"},
    {"language_model.model.norm.*", "output_norm.*"},
    {"language_model.lm_head.*", "output.*"},
    {"language_model.model.layers.{i}.input_layernorm.*", "blk.{i}.attn_norm.*"},
    {"language_model.model.layers.{i}.self_attn.q_proj.*",
     "blk.{i}.attn_q.*",
     {},
     split_text_rotary},
    {"language_model.model.layers.{i}.self_attn.k_proj.*",
     "blk.{i}.attn_k.*",
     {},
     split_text_rotary},
    {"language_model.model.layers.{i}.self_attn.v_proj.*", "blk.{i}.attn_v.*"},
    {"language_model.model.layers.{i}.self_attn.o_proj.*", "blk.{i}.attn_output.*"},
    {"language_model.model.layers.{i}.post_attention_layernorm.*", "blk.{i}.ffn_norm.*"},
    {"language_model.model.layers.{i}.mlp.gate_proj.*", "blk.{i}.ffn_gate.*"},
    {"language_model.model.layers.{i}.mlp.up_proj.*", "blk.{i}.ffn_up.*"},
    {"language_model.model.layers.{i}.mlp.down_proj.*", "blk.{i}.ffn_down.*"},
};

// The longer ones are those of ComfyUI's whole checkpoints.
constexpr std::string_view kPrefixes[] = {"",
                                          "text_encoder.",
                                          "text_encoders.",
                                          "text_encoders.qwen3_4b.transformer.",
                                          "text_encoders.qwen3_8b.transformer.",
                                          "text_encoders.mistral3_24b.transformer."};

// What tells Qwen3 from Mistral is the norm of its queries; so its rows come first.
constexpr Naming kNamings[] = {
    {.part = PartKind::text_encoder,
     .name = "Qwen3, transformers",
     .signs = {"model.layers.{i}.self_attn.q_norm.weight"},
     .prefixes = kPrefixes,
     .rules = {}},
    {.part = PartKind::text_encoder,
     .name = "Qwen3, without prefix",
     .signs = {"layers.{i}.self_attn.q_norm.weight"},
     .prefixes = kPrefixes,
     .rules = kQwen3BareRules},
    {.part = PartKind::text_encoder,
     .name = "Qwen3, llama.cpp",
     .signs = {"blk.{i}.attn_q_norm.weight"},
     .prefixes = kPrefixes,
     .rules = kQwen3GgufRules},
    {.part = PartKind::text_encoder,
     .name = "Mistral3, transformers",
     .signs = {"language_model.model.layers.{i}.self_attn.q_proj.weight"},
     .prefixes = kPrefixes,
     .rules = {}},
    {.part = PartKind::text_encoder,
     .name = "Mistral3, transformers' module tree",
     .signs = {"model.language_model.layers.{i}.self_attn.q_proj.weight"},
     .prefixes = kPrefixes,
     .rules = kMistralTreeRules},
    {.part = PartKind::text_encoder,
     .name = "Mistral3, ComfyUI",
     .signs = {"model.layers.{i}.self_attn.q_proj.weight"},
     .prefixes = kPrefixes,
     .rules = kMistralComfyRules},
    {.part = PartKind::text_encoder,
     .name = "Mistral3, without prefix",
     .signs = {"layers.{i}.self_attn.q_proj.weight"},
     .prefixes = kPrefixes,
     .rules = kMistralBareRules},
    {.part = PartKind::text_encoder,
     .name = "Mistral3, consolidated",
     .signs = {"layers.{i}.attention.wq.weight"},
     .prefixes = kPrefixes,
     .rules = kMistralNativeRules},
    {.part = PartKind::text_encoder,
     .name = "Mistral3, llama.cpp",
     .signs = {"blk.{i}.attn_q.weight"},
     .prefixes = kPrefixes,
     .rules = kMistralGgufRules},
};

}  // namespace

std::span<const Naming> text_encoder_namings() {
  return kNamings;
}

}  // namespace flux2
