#include "pipeline/part_table.h"

#include <fmt/format.h>

#include <optional>

#include "models/autoencoder/weights.h"
#include "models/flux2/weights.h"
#include "models/language/derived_config.h"
#include "models/language/language_model.h"

namespace flux2 {
namespace {

// The last layers that the families tap: what a text encoder may not be without.
constexpr std::int64_t kMistralTap = 30;
constexpr std::int64_t kQwenTap = 27;

template <typename Weights, typename Config>
std::shared_ptr<Weights> declared(WeightsTable& table, const ConfigFile& config) {
  const auto weights = std::make_shared<Weights>();
  declare(table, *weights, Config::read(config));
  return weights;
}

// The layer behind which a text encoder may be cut; none where all of its layers are there.
std::optional<std::int64_t> cut_at(const ConfigFile& config, const Checkpoint& weights) {
  const bool mistral = config.text("model_type", "") == "mistral3";
  const ConfigFile text = mistral ? config.section("text_config") : config;
  const std::int64_t tap = mistral ? kMistralTap : kQwenTap;
  const std::int64_t declared = text.integer("num_hidden_layers", 1, 1 << 10);
  const std::int64_t held = layers_held(weights);
  if (held >= declared || held < tap) return std::nullopt;
  return tap;
}

}  // namespace

PartTable::PartTable(PartKind part, const ConfigFile& config, const Checkpoint& weights) {
  switch (part) {
    case PartKind::transformer:
      targets_ = declared<TransformerWeights, TransformerConfig>(table_, config);
      return;
    case PartKind::vae:
      targets_ = declared<AutoencoderWeights, AutoencoderConfig>(table_, config);
      if (weights.find("encoder.conv_in.weight") == nullptr) {
        table_.skip("encoder.");
        table_.skip("quant_conv.");
        limits_ = "without an encoder: it decodes and takes no pictures";
      }
      return;
    case PartKind::text_encoder: {
      DecoderUse use = {.taps = {}, .generation = DecoderUse::Generation::yes};
      if (const std::optional<std::int64_t> tap = cut_at(config, weights)) {
        use = {.taps = {*tap}, .generation = DecoderUse::Generation::no};
        limits_ = fmt::format("cut to {} layers: it draws and cannot rewrite prompts",
                              layers_held(weights));
      }
      std::shared_ptr<LanguageModel> model = make_language_model(config, use);
      table_ = model->weights(weights);
      targets_ = std::move(model);
    }
  }
}

std::string role_of(const WeightsTable::Entry& entry, const std::string& name) {
  if (!entry.bias.empty() && entry.bias.front().name == name) return "bias";
  switch (entry.kind) {
    case WeightKind::linear:
      return entry.sensitivity == Sensitivity::tolerant ? "linear layer of a block"
                                                        : "linear layer";
    case WeightKind::conv2d:
      return "convolution";
    case WeightKind::embedding:
      return "embedding table";
    case WeightKind::vector:
      return name.find("running_") != std::string::npos ? "statistics"
             : name.ends_with(".bias")                  ? "bias of a norm"
                                                        : "norm";
    case WeightKind::unused:
      break;
  }
  return "not used";
}

}  // namespace flux2
