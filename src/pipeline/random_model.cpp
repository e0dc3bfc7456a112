#include "pipeline/random_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "checkpoint/random_weights.h"
#include "flux2/error.h"
#include "models/autoencoder/weights.h"
#include "models/flux2/weights.h"
#include "models/language/language_model.h"

namespace flux2 {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kTaps = 3;

// The text encoders' config.json, as far as their shapes go.
constexpr std::string_view kQwen3Of4B = R"({"model_type": "qwen3", "hidden_size": 2560,
  "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32,
  "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936, "rms_norm_eps": 1e-6,
  "rope_theta": 1000000, "tie_word_embeddings": true})";

constexpr std::string_view kQwen3Of8B = R"({"model_type": "qwen3", "hidden_size": 4096,
  "intermediate_size": 12288, "num_hidden_layers": 36, "num_attention_heads": 32,
  "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936, "rms_norm_eps": 1e-6,
  "rope_theta": 1000000, "tie_word_embeddings": false})";

constexpr std::string_view kMistral3 = R"({"model_type": "mistral3", "tie_word_embeddings": false,
  "image_token_index": 10, "spatial_merge_size": 2, "vision_feature_layer": -1,
  "text_config": {"model_type": "mistral", "hidden_size": 5120, "intermediate_size": 32768,
    "num_hidden_layers": 40, "num_attention_heads": 32, "num_key_value_heads": 8,
    "head_dim": 128, "vocab_size": 131072, "rms_norm_eps": 1e-5, "rope_theta": 1e9},
  "vision_config": {"model_type": "pixtral", "hidden_size": 1024, "intermediate_size": 4096,
    "num_hidden_layers": 24, "num_attention_heads": 16, "head_dim": 64, "patch_size": 14,
    "num_channels": 3, "hidden_act": "silu", "rope_theta": 10000.0}})";

// What sets a published model apart; the rest is in FamilyTraits.
struct Published {
  std::string_view name;
  Family family;
  std::int64_t heads, double_blocks, single_blocks, text_dim;
  std::string_view text;  // config.json of its text encoder
};

constexpr std::array<Published, 6> kPublished = {{
    {"klein-4b", Family::klein, 24, 5, 20, 7680, kQwen3Of4B},
    {"klein-base-4b", Family::klein_base, 24, 5, 20, 7680, kQwen3Of4B},
    {"klein-9b", Family::klein, 32, 8, 24, 12288, kQwen3Of8B},
    {"klein-base-9b", Family::klein_base, 32, 8, 24, 12288, kQwen3Of8B},
    {"klein-9b-kv", Family::klein_kv, 32, 8, 24, 12288, kQwen3Of8B},
    {"dev", Family::dev, 48, 8, 48, 15360, kMistral3},
}};

const Published& find(const std::string& name) {
  std::string known;
  for (const Published& model : kPublished) {
    if (model.name == name) return model;
    known += (known.empty() ? "" : ", ") + std::string(model.name);
  }
  throw Error(ErrorCode::invalid_request, fmt::format("there is no published model \"{}\"", name),
              "random", "choose one of " + known);
}

TransformerConfig transformer_of(const Published& model, std::int64_t most_blocks) {
  TransformerConfig config;
  config.heads = model.heads;
  config.double_blocks = std::min(model.double_blocks, most_blocks);
  config.single_blocks = std::min(model.single_blocks, most_blocks);
  config.text_dim = model.text_dim;
  config.mlp_hidden = 3 * config.dim();
  config.guidance_embeds = traits_of(model.family).guidance == GuidanceKind::embedded;
  return config;
}

// One layer stays behind the last tapped one: the output of the very last has the final norm.
ConfigFile text_config_of(const Published& model, std::int64_t most_layers) {
  Json config = Json::parse(model.text);
  Json& sizes = config.contains("text_config") ? config["text_config"] : config;
  const auto layers = sizes["num_hidden_layers"].get<std::int64_t>();
  sizes["num_hidden_layers"] = std::min(layers, std::max(kTaps, most_layers) + 1);
  return ConfigFile::parse(config.dump(), std::string(model.name));
}

std::int64_t layers_in(const ConfigFile& config) {
  const ConfigFile sizes = config.has("text_config") ? config.section("text_config") : config;
  return sizes.integer("num_hidden_layers", 1, 1 << 16);
}

// Weights for every layer and for whatever is needed to write.
Checkpoint text_encoder_weights(const ConfigFile& config) {
  const DecoderUse use = {.taps = {layers_in(config)}, .generation = DecoderUse::Generation::yes};
  const Checkpoint nothing(config.name(), {});
  return random_checkpoint(make_language_model(config, use)->weights(nothing), config.name());
}

template <typename Weights, typename Config>
Checkpoint weights_for(const Config& config, const std::string& name) {
  WeightsTable table;
  Weights weights;
  declare(table, weights, config);
  return random_checkpoint(table, name);
}

}  // namespace

ModelFolder random_model(const std::string& name, std::optional<int> blocks) {
  const Published& published = find(name);
  const std::int64_t most = blocks.value_or(1 << 16);
  ModelFolder model;
  model.path = "random weights";
  model.name = "random " + name;
  model.traits = &traits_of(published.family);
  model.pipeline_class = std::string(model.traits->pipeline_class);
  model.transformer = transformer_of(published, most);
  model.scheduler.time_shift = TimeShift::exponential;
  model.defaults.num_inference_steps = model.traits->default_steps;
  model.defaults.guidance_scale = model.traits->default_guidance;

  const ConfigFile text = text_config_of(published, most);
  const auto weights_of = [text, transformer = model.transformer, vae = model.vae,
                           label = model.name](const std::string& part) {
    if (part == "text_encoder") return text_encoder_weights(text);
    if (part == "vae") return weights_for<AutoencoderWeights>(vae, label);
    return weights_for<TransformerWeights>(transformer, label);
  };
  model.made = std::make_shared<const MadeParts>(MadeParts{text, weights_of});
  return model;
}

std::vector<int> text_layers_of(const ModelFolder& model) {
  const auto& usual = model.traits->text_layers;
  const auto layers = static_cast<int>(layers_in(model.config_of(PartKind::text_encoder).file));
  if (usual.back() <= layers) return {usual.begin(), usual.end()};
  std::vector<int> last;
  for (int tap = layers - static_cast<int>(kTaps); tap < layers; ++tap)
    last.push_back(tap);
  return last;
}

}  // namespace flux2
