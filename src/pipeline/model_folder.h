#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "checkpoint/checkpoint.h"
#include "checkpoint/config_file.h"
#include "checkpoint/model_index.h"
#include "diffusion/schedule.h"
#include "flux2/model.h"
#include "models/autoencoder/config.h"
#include "models/flux2/config.h"
#include "pipeline/family.h"
#include "pipeline/model_places.h"
#include "tokenizers/tokenizer.h"

namespace flux2 {

/// The parts of a model that lies in no file: see random_model.
struct MadeParts {
  ConfigFile text_encoder;                                   ///< its config.json
  std::function<Checkpoint(const std::string&)> weights_of;  ///< see ModelFolder::weights_of
};

/// A part's config.json, or what its weights say in its place.
struct PartConfig {
  ConfigFile file;
  std::string from;  ///< "config.json", "shapes"
};

/// The configuration of a part that lies at `path`: the config.json of its folder, or beside its
/// file where that speaks of such a part; else derived from its weights.
/// @throws Error bad_file: see Checkpoint::open and derive_transformer_config
PartConfig config_of_part(const std::filesystem::path& path, PartKind part);

/// A model, its small files read: all that is known before a weight is. It is usually a folder in
/// Diffusers layout, but its parts may lie anywhere.
struct ModelFolder {
  std::filesystem::path path;
  std::string name;
  std::string pipeline_class;
  const FamilyTraits* traits = nullptr;
  std::string family_from;  ///< ModelInfo::family_from
  TransformerConfig transformer;
  AutoencoderConfig vae;
  SchedulerConfig scheduler;
  ModelDefaults defaults;
  ModelPlaces places;
  std::shared_ptr<const MadeParts> made;  ///< nullptr: the parts are at `places`

  /// @throws Error bad_file: see inspect_model
  static ModelFolder open(const ModelSource& source);
  static ModelFolder open(const std::filesystem::path& path);

  /// The weights of "transformer", "text_encoder" or "vae".
  /// @throws Error bad_file: the model has no such part; see Checkpoint::open
  Checkpoint weights_of(const std::string& part) const;
  /// The configuration of such a part.
  PartConfig config_of(PartKind part) const;
  /// The model's tokenizer: one that was named, the one of its folder, one that the text encoder's
  /// file carries, or one beside that.
  /// @throws Error bad_file: there is none; damaged
  Tokenizer tokenizer() const;
};

/// The folder with tokenizer files that a text encoder lies in or beside; empty: there is none.
std::filesystem::path tokenizer_beside(const std::filesystem::path& text_encoder);

/// What a part at `path` is: the header of its weights is read.
/// @param ops  what would compute
/// @throws Error bad_file
ModelPart describe_part(const std::filesystem::path& path, PartKind kind, const Ops& ops);

/// What an open model holds: the headers of its weights are read.
/// @param ops  what would compute
/// @throws Error bad_file
ModelInfo describe_model(const ModelFolder& model, const Ops& ops);

}  // namespace flux2
