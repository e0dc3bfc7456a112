#pragma once

#include "models/language/language_model.h"

namespace flux2 {

/// Qwen3, the text encoder of FLUX.2 [klein]: the plain decoder, with normalised queries and keys.
class Qwen3 : public LanguageModel {
 public:
  /// @throws Error bad_file: see read_decoder_config; invalid_request: see Decoder
  Qwen3(const ConfigFile& config, const DecoderUse& use);

  const Decoder& decoder() const override { return decoder_; }
  WeightsTable weights(const Checkpoint& checkpoint) override;
  Tensor embed_prompt(Ops& ops, std::span<const std::int32_t> ids,
                      std::span<const Tensor> pictures) const override;

 private:
  Decoder decoder_;
};

}  // namespace flux2
