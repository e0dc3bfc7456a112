#include "models/language/derived_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "checkpoint/shapes.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

constexpr const char* kMistral = "language_model.model.";
constexpr const char* kQwen = "model.";

[[noreturn]] void refuse(const Checkpoint& checkpoint, const std::string& what,
                         const std::string& hint) {
  throw Error(ErrorCode::bad_file, what, checkpoint.path().string(), hint);
}

// What the families' published models have and no shape tells.
struct Published {
  double rope_theta;
  double rms_norm_eps;
  std::int64_t layers;
  std::int64_t tapped;                 // the layers that FLUX.2 reads: a file may be cut to them
  std::array<std::int64_t, 2> widths;  // of the models with so many layers
};
constexpr Published kQwen3 = {1e6, 1e-6, 36, 27, {2560, 4096}};
constexpr Published kMistral3 = {1e9, 1e-5, 40, 30, {5120, 5120}};
constexpr std::int64_t kMistralWidth = 5120;
constexpr std::int64_t kMistralMlp = 32768;
constexpr std::int64_t kPixtralWidth = 1024;
constexpr std::int64_t kUntiedQwenWidth = 4096;  // from here on Qwen3's output matrix is its own

// Layers of the whole model. A file that was cut has fewer, and the norm that follows the last
// layer must not follow its last one.
std::int64_t whole_layers(const Checkpoint& checkpoint, const std::string& prefix,
                          const Published& published) {
  const std::int64_t held = count_layers(checkpoint, prefix + "layers.");
  const std::int64_t width = dimension_of(checkpoint, prefix + "embed_tokens.weight", 1);
  const bool known =
      std::find(published.widths.begin(), published.widths.end(), width) != published.widths.end();
  const std::int64_t whole =
      checkpoint.facts().layers.value_or(known ? published.layers : std::int64_t{0});
  const bool ends = checkpoint.find(prefix + "norm.weight") != nullptr;
  if (held > whole) return ends ? held : held + 1;
  if (held < whole && held != published.tapped && ends) {
    refuse(checkpoint, fmt::format("holds {} of the {} layers of its model", held, whole),
           "the file is incomplete: get it again");
  }
  return whole;
}

// "hidden_size": ..., ... of the decoder below `prefix`.
std::string decoder_keys(const Checkpoint& checkpoint, const std::string& prefix,
                         std::int64_t head_dim, const Published& published) {
  const auto rows = [&](const std::string& name) {
    return dimension_of(checkpoint, prefix + name, 0);
  };
  if (head_dim < 1 || rows("layers.0.self_attn.q_proj.weight") % head_dim != 0 ||
      rows("layers.0.self_attn.k_proj.weight") % head_dim != 0) {
    refuse(checkpoint, fmt::format("its projections are not made of heads of {} rows", head_dim),
           "the file is damaged or of another model");
  }
  const ModelFacts& facts = checkpoint.facts();
  return fmt::format(
      R"("vocab_size": {}, "hidden_size": {}, "num_hidden_layers": {}, "intermediate_size": {},
"num_attention_heads": {}, "num_key_value_heads": {}, "head_dim": {}, "rope_theta": {:.17g},
"rms_norm_eps": {:.17g})",
      rows("embed_tokens.weight"), dimension_of(checkpoint, prefix + "embed_tokens.weight", 1),
      whole_layers(checkpoint, prefix, published), rows("layers.0.mlp.gate_proj.weight"),
      rows("layers.0.self_attn.q_proj.weight") / head_dim,
      rows("layers.0.self_attn.k_proj.weight") / head_dim, head_dim,
      facts.rope_theta.value_or(published.rope_theta),
      facts.rms_norm_eps.value_or(published.rms_norm_eps));
}

std::string qwen3_config(const Checkpoint& checkpoint) {
  const std::string prefix = kQwen;
  return fmt::format(
      R"({{"model_type": "qwen3", {}, "tie_word_embeddings": {}}})",
      decoder_keys(checkpoint, prefix,
                   dimension_of(checkpoint, prefix + "layers.0.self_attn.q_norm.weight", 0),
                   kQwen3),
      checkpoint.find("lm_head.weight") == nullptr &&
          dimension_of(checkpoint, prefix + "embed_tokens.weight", 1) < kUntiedQwenWidth);
}

std::int64_t mistral_head_dim(const Checkpoint& checkpoint) {
  const std::string prefix = kMistral;
  const std::int64_t width = dimension_of(checkpoint, prefix + "embed_tokens.weight", 1);
  const std::int64_t mlp = dimension_of(checkpoint, prefix + "layers.0.mlp.gate_proj.weight", 0);
  if (checkpoint.facts().head_dim) return *checkpoint.facts().head_dim;
  if (width == kMistralWidth && mlp == kMistralMlp) return HeadDims{}.text;
  refuse(checkpoint,
         fmt::format("is a language model of width {} with an MLP of {}, not Mistral-Small-3 "
                     "({} and {})",
                     width, mlp, kMistralWidth, kMistralMlp),
         "FLUX.2 [dev] takes Mistral-Small-3; of another model, give the folder with config.json");
}

std::string vision_keys(const Checkpoint& checkpoint) {
  const auto size = [&](const std::string& name, int axis) {
    return dimension_of(checkpoint, "vision_tower." + name, axis);
  };
  const std::int64_t width = size("patch_conv.weight", 0);
  if (!checkpoint.facts().vision_head_dim && width != kPixtralWidth) {
    refuse(checkpoint, fmt::format("its vision tower is {} wide, not {}", width, kPixtralWidth),
           "of another model, give the folder with config.json");
  }
  const std::int64_t head_dim = checkpoint.facts().vision_head_dim.value_or(HeadDims{}.vision);
  const std::int64_t merged =
      dimension_of(checkpoint, "multi_modal_projector.patch_merger.merging_layer.weight", 1);
  const auto merge =
      std::llround(std::sqrt(static_cast<double>(merged) / static_cast<double>(width)));
  return fmt::format(
      R"(, "spatial_merge_size": {}, "vision_config": {{"model_type": "pixtral",
"hidden_size": {}, "num_hidden_layers": {}, "intermediate_size": {}, "num_attention_heads": {},
"head_dim": {}, "num_channels": {}, "patch_size": {}, "rope_theta": 10000.0}})",
      merge, width, count_layers(checkpoint, "vision_tower.transformer.layers."),
      size("transformer.layers.0.feed_forward.gate_proj.weight", 0), width / head_dim, head_dim,
      size("patch_conv.weight", 1), size("patch_conv.weight", 2));
}

std::string mistral3_config(const Checkpoint& checkpoint) {
  const bool sees = checkpoint.find("vision_tower.patch_conv.weight") != nullptr;
  return fmt::format(
      R"({{"model_type": "mistral3", "tie_word_embeddings": false, "text_config": {{
"model_type": "mistral", {}, "tie_word_embeddings": false}}{}}})",
      decoder_keys(checkpoint, kMistral, mistral_head_dim(checkpoint), kMistral3),
      sees ? vision_keys(checkpoint) : "");
}

}  // namespace

ConfigFile derive_language_config(const Checkpoint& checkpoint) {
  const bool qwen =
      checkpoint.find(std::string(kQwen) + "layers.0.self_attn.q_norm.weight") != nullptr;
  return ConfigFile::parse(qwen ? qwen3_config(checkpoint) : mistral3_config(checkpoint),
                           checkpoint.path().string());
}

std::int64_t layers_held(const Checkpoint& checkpoint) {
  return std::max(count_layers(checkpoint, std::string(kQwen) + "layers."),
                  count_layers(checkpoint, std::string(kMistral) + "layers."));
}

}  // namespace flux2
