#include "pipeline/gguf_layout.h"

#include <map>
#include <utility>

#include "models/language/language_model.h"
#include "pipeline/copy_plan.h"

namespace flux2 {
namespace {

using Values = std::map<std::string, Metadata::Value, std::less<>>;

// The keys of llama.cpp's gguf-py/gguf/constants.py that tell a decoder's sizes.
void add_decoder(const DecoderConfig& decoder, const std::string& architecture, Values& values) {
  const BlockShape& block = decoder.block;
  const auto set = [&](const char* key, Metadata::Value value) {
    values.insert_or_assign(architecture + key, std::move(value));
  };
  set(".block_count", decoder.layers);
  set(".embedding_length", block.width);
  set(".feed_forward_length", block.mlp_width);
  set(".vocab_size", decoder.vocab_size);
  set(".attention.head_count", block.heads);
  set(".attention.head_count_kv", block.kv_heads);
  set(".attention.key_length", block.head_dim);
  set(".attention.value_length", block.head_dim);
  set(".attention.layer_norm_rms_epsilon", static_cast<double>(block.eps));
  set(".rope.freq_base", decoder.rope_theta);
}

}  // namespace

GgufLayout gguf_layout(PartKind part, const ConfigFile& config, const Checkpoint& weights) {
  constexpr std::int64_t kQuantizationVersion = 2;
  GgufLayout layout = {.naming = &naming_of(PartKind::transformer, "BFL"),
                       .heads = weights.facts().heads(),
                       .metadata = {}};
  Values values;
  for (const auto& [key, text] : kept_texts(weights.metadata()))
    values.emplace(key, text);
  std::string architecture = "flux";
  if (part == PartKind::text_encoder) {
    const bool mistral = config.text("model_type", "") == "mistral3";
    architecture = mistral ? "llama" : "qwen3";
    layout.naming = &naming_of(part, mistral ? "Mistral3, llama.cpp" : "Qwen3, llama.cpp");
    const DecoderUse use = {.taps = {}, .generation = DecoderUse::Generation::yes};
    const auto model = make_language_model(config, use);
    const DecoderConfig& decoder = model->decoder().config();
    layout.heads.text = decoder.block.head_dim;
    add_decoder(decoder, architecture, values);
  }
  values.insert_or_assign("general.architecture", architecture);
  values.insert_or_assign("general.type", std::string("model"));
  values.insert_or_assign("general.quantization_version", kQuantizationVersion);
  layout.metadata = Metadata(std::move(values));
  return layout;
}

bool is_left_out_of_gguf(PartKind part, const std::string& canonical) {
  return part == PartKind::text_encoder && (canonical.starts_with("vision_tower.") ||
                                            canonical.starts_with("multi_modal_projector."));
}

}  // namespace flux2
