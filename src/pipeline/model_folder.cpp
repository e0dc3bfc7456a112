#include "pipeline/model_folder.h"

#include <fmt/format.h>

#include "flux2/error.h"
#include "hub/cache.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

void check_folder(const fs::path& path) {
  if (!fs::exists(path)) {
    throw Error(ErrorCode::bad_file, "there is no such folder", path.string());
  }
  if (!fs::is_directory(path)) {
    throw Error(ErrorCode::bad_file, "this is a file, not a model folder", path.string(),
                "give the folder that holds model_index.json");
  }
}

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

void check_fit(const ModelFolder& model) {
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

}  // namespace

ModelFolder ModelFolder::open(const fs::path& path) {
  check_folder(path);
  ModelFolder model;
  model.path = path;
  model.index = read_model_index(path);
  model.traits = &traits_of(family_of(model.index, (path / "model_index.json").string()));
  const auto config = [&](const char* part) {
    return ConfigFile::read(path / part / "config.json");
  };
  model.transformer = TransformerConfig::read(config("transformer"));
  model.vae = AutoencoderConfig::read(config("vae"));
  model.scheduler = read_scheduler(model.part("scheduler"));
  check_fit(model);

  const FolderDefaults own = read_folder_defaults(path);
  model.defaults = defaults_of(*model.traits, own);
  const auto repo = repo_of_snapshot(path);
  model.name =
      own.name.value_or(repo ? *repo : fs::absolute(path).lexically_normal().filename().string());
  return model;
}

ConfigFile ModelFolder::text_encoder_config() const {
  return made ? made->text_encoder : ConfigFile::read(part("text_encoder") / "config.json");
}

std::string_view weights_stem(std::string_view part) {
  return part == "text_encoder" ? "model" : "diffusion_pytorch_model";
}

Checkpoint ModelFolder::weights_of(const std::string& part) const {
  if (made) return made->weights_of(part);
  return Checkpoint::open(this->part(part), weights_stem(part));
}

}  // namespace flux2
