#pragma once

#include <cstdint>
#include <optional>

#include "checkpoint/config_file.h"
#include "models/language/decoder_config.h"

namespace flux2 {

/// Pixtral, the vision tower of Mistral3.
struct VisionConfig {
  std::int64_t layers = 0;
  BlockShape block;
  std::int64_t channels = 0;    ///< of a picture
  std::int64_t patch_size = 0;  ///< pixels on a side
  double rope_theta = 0;
};

struct Mistral3Config {
  DecoderConfig text;
  std::optional<VisionConfig> vision;  ///< absent from text-only checkpoints
  std::int64_t merge_size = 0;         ///< patches on a side that become one token
  std::int32_t picture_token = 0;      ///< stands where a merged patch goes
};

/// @throws Error bad_file: see read_decoder_config; also a vision layer other than the last, or a
///         projector with biases or another activation than gelu
Mistral3Config read_mistral3_config(const ConfigFile& config);

}  // namespace flux2
