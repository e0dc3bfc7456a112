#pragma once

#include <optional>

#include "models/language/language_model.h"
#include "models/mistral3/config.h"
#include "models/mistral3/projector.h"
#include "models/mistral3/vision_tower.h"

namespace flux2 {

/// Mistral-Small-3, the text encoder of FLUX.2 [dev]: the plain decoder; for prompt upsampling
/// also Pixtral and the projector that shows its patches to the decoder.
class Mistral3 : public LanguageModel {
 public:
  /// @throws Error bad_file: see read_mistral3_config; invalid_request: see Decoder
  Mistral3(const ConfigFile& config, const DecoderUse& use);

  const Mistral3Config& config() const { return config_; }
  const Decoder& decoder() const override { return decoder_; }
  /// The vision tower and the projector are loaded only to generate.
  WeightsTable weights(const Checkpoint& checkpoint) override;
  Tensor embed_prompt(Ops& ops, std::span<const std::int32_t> ids,
                      std::span<const Tensor> pictures) const override;

  /// What the decoder is shown of a picture [1, H, W, 3] (host, normalised, sides a multiple of
  /// patch size * merge size): [1, tokens, D], a stream.
  /// @throws Error invalid_request: sides that do not fit; no vision tower is loaded
  Tensor embed_picture(Ops& ops, const Tensor& picture) const;

 private:
  struct Eyes {
    VisionTower tower;
    Projector projector;
  };

  static std::optional<Eyes> make_eyes(const Mistral3Config& config);

  Mistral3Config config_;
  Decoder decoder_;
  std::optional<Eyes> eyes_;
};

}  // namespace flux2
