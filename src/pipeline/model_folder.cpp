#include "pipeline/model_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "flux2/error.h"
#include "hub/cache.h"
#include "models/autoencoder/derived_config.h"
#include "models/flux2/derived_config.h"
#include "models/language/derived_config.h"
#include "pipeline/embedded_tokenizer.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfigFile = "config.json";

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

// FlowMatchEulerDiscreteScheduler as every FLUX.2 model was published with it.
constexpr SchedulerConfig kPublishedScheduler = {
    .num_train_timesteps = 1000, .shift = 3.0, .time_shift = TimeShift::exponential};

// The checkpoint layer knows files and the diffusion layer arithmetic; here they meet.
SchedulerConfig read_scheduler(const fs::path& folder) {
  const SchedulerSettings settings = read_scheduler_settings(folder);
  SchedulerConfig config = {.num_train_timesteps = settings.num_train_timesteps,
                            .shift = settings.shift};
  switch (settings.sigma_shift) {
    case SigmaShift::exponential:
      config.time_shift = TimeShift::exponential;
      break;
    case SigmaShift::linear:
      config.time_shift = TimeShift::linear;
      break;
    case SigmaShift::fixed:
      config.time_shift = TimeShift::fixed;
      break;
  }
  return config;
}

ModelDefaults defaults_of(const FamilyTraits& traits, const FolderDefaults& own) {
  const auto or_else = [](const std::optional<std::int64_t>& value, int fallback) {
    return value ? static_cast<int>(*value) : fallback;
  };
  const ModelDefaults general;
  return {.width = or_else(own.width, general.width),
          .height = or_else(own.height, general.height),
          .num_inference_steps = or_else(own.num_inference_steps, traits.default_steps),
          .guidance_scale = own.guidance_scale.value_or(traits.default_guidance),
          .max_sequence_length = or_else(own.max_sequence_length, general.max_sequence_length)};
}

// Whether a config.json that lies beside a file speaks of that file's part.
bool describes(const ConfigFile& config, PartKind part) {
  switch (part) {
    case PartKind::transformer:
      return config.text("_class_name", "") == "Flux2Transformer2DModel";
    case PartKind::vae:
      return config.text("_class_name", "") == "AutoencoderKLFlux2";
    case PartKind::text_encoder: {
      const std::string type = config.text("model_type", "");
      return type == "qwen3" || type == "mistral3";
    }
  }
  return false;
}

ConfigFile derive_config(const Checkpoint& weights, PartKind part) {
  switch (part) {
    case PartKind::transformer:
      return derive_transformer_config(weights);
    case PartKind::text_encoder:
      return derive_language_config(weights);
    case PartKind::vae:
      return derive_autoencoder_config(weights);
  }
  return ConfigFile::parse("{}", "");
}

// What tells the members of the family apart. Only the embedded guidance of [dev] leaves a trace in
// the weights.
class FamilyChoice {
 public:
  FamilyChoice(ModelFolder& model, const std::optional<Family>& asked)
      : model_(model), asked_(asked) {}

  void make() {
    if (!model_.places.pipeline_folder.empty()) from_index();
    if (asked_) return take(*asked_, "the variant that was asked for");
    if (model_.traits != nullptr) return;
    if (model_.transformer.guidance_embeds) return take(Family::dev, "its guidance embedder");
    throw Error(
        ErrorCode::bad_file,
        "klein, klein base and klein KV have the same tensors: nothing here tells which one "
        "this is",
        model_.places.parts.at(PartKind::transformer).string(),
        "say which: --variant klein (4 steps, distilled), klein-base or klein-kv");
  }

 private:
  void from_index() {
    const fs::path& folder = model_.places.pipeline_folder;
    const ModelIndex index = read_model_index(folder);
    const Family family = family_of(index, (folder / "model_index.json").string());
    take(family, "model_index.json");
    model_.pipeline_class = index.class_name;
  }

  void take(Family family, std::string why) {
    if ((family == Family::dev) != model_.transformer.guidance_embeds && asked_) {
      throw Error(ErrorCode::bad_file,
                  model_.transformer.guidance_embeds
                      ? "the transformer has a guidance embedder: it is FLUX.2 [dev]'s"
                      : "the transformer has no guidance embedder: it is not FLUX.2 [dev]'s",
                  model_.places.parts.at(PartKind::transformer).string(),
                  "leave the variant out, or give another transformer");
    }
    model_.traits = &traits_of(family);
    model_.family_from = std::move(why);
    model_.pipeline_class = std::string(model_.traits->pipeline_class);
  }

  ModelFolder& model_;
  const std::optional<Family>& asked_;
};

void check_vae(const ModelFolder& model) {
  if (model.vae.patch_channels() != model.transformer.in_channels ||
      model.transformer.out_channels != model.transformer.in_channels) {
    throw Error(ErrorCode::bad_file,
                fmt::format("the transformer works on {} to {} channels and the VAE gives {}",
                            model.transformer.in_channels, model.transformer.out_channels,
                            model.vae.patch_channels()),
                model.path.string(), "the parts come from different models");
  }
  constexpr std::int64_t kDownscale = 8;
  if (model.vae.downscale() != kDownscale) {
    throw Error(ErrorCode::bad_file,
                fmt::format("a VAE that shrinks {} times is not FLUX.2's", model.vae.downscale()),
                model.path.string());
  }
}

// A repository of the hub, else a folder's or file's own name.
std::string name_of_place(const fs::path& path) {
  if (const auto repo = repo_of_snapshot(path)) return *repo;
  const fs::path named = fs::absolute(path).lexically_normal();
  return (is_file(named) ? named.stem() : named.filename()).string();
}

// Which text encoder a family reads its prompts with, for messages.
std::string_view encoder_of(PromptFamily prompt) {
  return prompt == PromptFamily::dev ? "Mistral-Small-3 (mistral3)" : "Qwen3 (qwen3)";
}

// What was cut on purpose has no config.json that says otherwise.
void require_whole(const ConfigFile& text, const Checkpoint& weights) {
  const std::int64_t declared = text.integer("num_hidden_layers", 1, 1 << 10);
  const std::int64_t held = layers_held(weights);
  if (held >= declared) return;
  throw Error(
      ErrorCode::bad_file,
      fmt::format("holds {} of the {} layers that its config.json declares", held, declared),
      weights.path().string(), "the file is incomplete: get it again");
}

void check_text_encoder(const ModelFolder& model) {
  const auto place = model.places.parts.find(PartKind::text_encoder);
  if (place == model.places.parts.end()) return;  // a call with embeddings needs none
  const PartConfig config = model.config_of(PartKind::text_encoder);
  const std::string type = config.file.text("model_type", "");
  const bool mistral = type == "mistral3";
  if ((mistral || type == "qwen3") && mistral != (model.traits->prompt == PromptFamily::dev)) {
    throw Error(ErrorCode::bad_file,
                fmt::format("{} takes {} as its text encoder, and this is a {}",
                            model.traits->title, encoder_of(model.traits->prompt), type),
                place->second.string(), "give the text encoder of that model");
  }
  const ConfigFile text = mistral ? config.file.section("text_config") : config.file;
  if (config.from == kConfigFile) require_whole(text, model.weights_of("text_encoder"));
  const std::int64_t width = text.integer("hidden_size", 1, 1 << 17);
  if (model.transformer.text_dim % width != 0) {
    throw Error(ErrorCode::bad_file,
                fmt::format("the text encoder is {} wide and the transformer takes texts of 3 x {}",
                            width, model.transformer.text_dim / 3),
                place->second.string(),
                "klein 4B takes Qwen3-4B (2560), klein 9B Qwen3-8B (4096), dev Mistral-Small-3 "
                "(5120)");
  }
}

}  // namespace

PartConfig config_of_part(const fs::path& path, PartKind part) {
  const fs::path config = folder_of(path) / "config.json";
  if (is_file(config)) {
    ConfigFile file = ConfigFile::read(config);
    const bool describing = describes(file, part);
    if (!is_file(path) && !describing && file.has("_class_name")) {
      throw Error(
          ErrorCode::bad_file,
          fmt::format("is of {}, not of FLUX.2's {}", file.text("_class_name", ""), name_of(part)),
          config.string(), "it belongs to another model: give FLUX.2's");
    }
    if (!is_file(path) || describing) return {std::move(file), kConfigFile};
  }
  return {derive_config(Checkpoint::open(path, part), part), "shapes"};
}

ModelFolder ModelFolder::open(const fs::path& path) {
  return open(ModelSource{.model = path.string()});
}

ModelFolder ModelFolder::open(const ModelSource& source) {
  ModelFolder model;
  model.places = find_places(source);
  model.path = model.places.path;
  model.transformer = TransformerConfig::read(model.config_of(PartKind::transformer).file);
  FamilyChoice(model, source.variant).make();
  model.vae = AutoencoderConfig::read(model.config_of(PartKind::vae).file);
  const fs::path scheduler = model.places.pipeline_folder / "scheduler";
  model.scheduler =
      model.places.pipeline_folder.empty() ? kPublishedScheduler : read_scheduler(scheduler);
  check_vae(model);
  check_text_encoder(model);

  const FolderDefaults own =
      model.places.home.empty() ? FolderDefaults{} : read_folder_defaults(model.places.home);
  model.defaults = defaults_of(*model.traits, own);
  model.name = own.name.value_or(name_of_place(model.path));
  return model;
}

Checkpoint ModelFolder::weights_of(const std::string& part) const {
  if (made) return made->weights_of(part);
  for (const PartKind kind : {PartKind::transformer, PartKind::text_encoder, PartKind::vae}) {
    if (name_of(kind) != part) continue;
    const auto place = places.parts.find(kind);
    if (place != places.parts.end()) return Checkpoint::open(place->second, kind);
  }
  throw Error(ErrorCode::bad_file, fmt::format("has no {}", part), path.string(),
              "give it beside the model: --text-encoder FILE");
}

PartConfig ModelFolder::config_of(PartKind part) const {
  if (made && part == PartKind::text_encoder) return {made->text_encoder, kConfigFile};
  return config_of_part(places.parts.at(part), part);
}

fs::path tokenizer_beside(const fs::path& text_encoder) {
  const fs::path folder = folder_of(fs::absolute(text_encoder).lexically_normal());
  for (const fs::path& beside : {folder, folder.parent_path() / "tokenizer"}) {
    for (const char* file : {"tokenizer.json", "vocab.json", "tekken.json"})
      if (is_file(beside / file)) return beside;
  }
  return {};
}

Tokenizer ModelFolder::tokenizer() const {
  if (!places.tokenizer.empty()) return Tokenizer::load(places.tokenizer);
  const auto place = places.parts.find(PartKind::text_encoder);
  if (place != places.parts.end()) {
    if (std::optional<Tokenizer> embedded = embedded_tokenizer(weights_of("text_encoder"))) {
      return *std::move(embedded);
    }
    const fs::path beside = tokenizer_beside(place->second);
    if (!beside.empty()) return Tokenizer::load(beside);
  }
  throw Error(
      ErrorCode::bad_file, "there is no tokenizer with the text encoder", path.string(),
      fmt::format("give that of {}: --tokenizer FILE (tokenizer.json or tekken.json, or the "
                  "folder with it)",
                  encoder_of(traits->prompt)));
}

}  // namespace flux2
