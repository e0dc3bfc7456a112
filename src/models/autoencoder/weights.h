#pragma once

#include <vector>

#include "checkpoint/weights_table.h"
#include "models/autoencoder/config.h"
#include "ops/ops.h"

namespace flux2 {

struct ResnetWeights {
  GroupNorm norm1;
  Weight conv1;
  GroupNorm norm2;
  Weight conv2;
  Weight shortcut;  ///< 1x1; undefined where the channels stay the same
};

/// One head as wide as the picture has channels.
struct PixelAttentionWeights {
  GroupNorm norm;
  Weight q, k, v, out;  ///< [C, C] with bias
};

struct MidBlockWeights {
  ResnetWeights before;
  PixelAttentionWeights attention;  ///< undefined weights: no attention
  ResnetWeights after;
};

/// One resolution. `resample` halves (encoder) or doubles (decoder) the picture afterwards;
/// undefined at the end.
struct LevelWeights {
  std::vector<ResnetWeights> resnets;
  Weight resample;
};

/// Encoder and decoder are the same list of parts, read in different orders.
struct CoderWeights {
  Weight conv_in;
  std::vector<LevelWeights> levels;
  MidBlockWeights mid;
  GroupNorm norm_out;
  Weight conv_out;
  Weight quant;  ///< 1x1 on the latent side; undefined where the config has none
};

struct AutoencoderWeights {
  CoderWeights encoder;
  CoderWeights decoder;
  Tensor latent_mean;      ///< [patch channels]
  Tensor latent_variance;  ///< [patch channels]
};

/// Declares every tensor by its Diffusers name.
void declare(WeightsTable& table, AutoencoderWeights& weights, const AutoencoderConfig& config);

}  // namespace flux2
