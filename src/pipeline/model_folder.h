#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "checkpoint/checkpoint.h"
#include "checkpoint/config_file.h"
#include "diffusion/schedule.h"
#include "flux2/model.h"
#include "models/autoencoder/config.h"
#include "models/flux2/config.h"
#include "pipeline/family.h"

namespace flux2 {

/// The parts of a model that lies in no file: see random_model.
struct MadeParts {
  ConfigFile text_encoder;                                   ///< its config.json
  std::function<Checkpoint(const std::string&)> weights_of;  ///< see ModelFolder::weights_of
};

/// A model in Diffusers layout, its small files read: all that is known before a weight is.
struct ModelFolder {
  std::filesystem::path path;
  std::string name;
  ModelIndex index;
  const FamilyTraits* traits = nullptr;
  TransformerConfig transformer;
  AutoencoderConfig vae;
  SchedulerConfig scheduler;
  ModelDefaults defaults;
  std::shared_ptr<const MadeParts> made;  ///< nullptr: the parts are folders in `path`

  /// @throws Error bad_file: a file is missing or says something that FLUX.2 isn't
  static ModelFolder open(const std::filesystem::path& path);

  std::filesystem::path part(const std::string& name) const { return path / name; }
  /// config.json of the text encoder.
  ConfigFile text_encoder_config() const;
  /// The weights of "transformer", "text_encoder" or "vae".
  Checkpoint weights_of(const std::string& part) const;
};

/// What an open folder holds: the headers of its weights are read.
/// @throws Error bad_file
ModelInfo describe_model(const ModelFolder& model);

/// What the weights of a part are called: "diffusion_pytorch_model", "model".
std::string_view weights_stem(std::string_view part);

}  // namespace flux2
