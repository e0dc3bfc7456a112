#pragma once

#include <filesystem>
#include <memory>
#include <span>

#include "checkpoint/checkpoint.h"
#include "checkpoint/config_file.h"
#include "checkpoint/weights_table.h"
#include "models/language/decoder.h"

namespace flux2 {

/// The text encoder of a pipeline: a decoder, and what its family puts around it.
///
///     const auto model = load_language_model(folder, use, ops);
///     const Tensor embeddings = model->decoder().hidden_states(ops, batch, use.taps);
class LanguageModel {
 public:
  LanguageModel() = default;
  LanguageModel(const LanguageModel&) = delete;  // a WeightsTable points into it
  LanguageModel& operator=(const LanguageModel&) = delete;
  virtual ~LanguageModel() = default;

  virtual const Decoder& decoder() const = 0;
  /// Every tensor of the model; whether the output matrix is one of its own, `checkpoint` says.
  virtual WeightsTable weights(const Checkpoint& checkpoint) = 0;
  /// The embeddings of a prompt to continue: [1, L, D], a stream.
  /// @param pictures  normalised, f32 host tensors [1, H, W, 3], one for each run of picture
  ///                  tokens in `ids`
  /// @throws Error invalid_request: the model takes no pictures, or their sizes do not fit `ids`
  virtual Tensor embed_prompt(Ops& ops, std::span<const std::int32_t> ids,
                              std::span<const Tensor> pictures) const = 0;
};

/// The language model that `config` (a text_encoder/config.json) describes, its weights not yet
/// loaded.
/// @throws Error bad_file: an unknown model_type, or a config that does not fit its type
std::unique_ptr<LanguageModel> make_language_model(const ConfigFile& config, const DecoderUse& use);

/// The language model in `folder` (text_encoder/ of a pipeline), ready to use.
/// @throws Error bad_file: see make_language_model, Checkpoint::open and WeightsTable::load
std::unique_ptr<LanguageModel> load_language_model(const std::filesystem::path& folder,
                                                   const DecoderUse& use, Ops& ops,
                                                   const LoadProgress& progress = {});

}  // namespace flux2
