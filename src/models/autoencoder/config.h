#pragma once

#include <cstdint>
#include <vector>

#include "checkpoint/config_file.h"

namespace flux2 {

/// vae/config.json of an AutoencoderKLFlux2. Defaults as in Diffusers.
struct AutoencoderConfig {
  std::int64_t in_channels = 3;
  std::int64_t out_channels = 3;
  std::int64_t latent_channels = 32;
  std::vector<std::int64_t> encoder_channels = {128, 256, 512, 512};  ///< from the picture inward
  std::vector<std::int64_t> decoder_channels = {128, 256, 512, 512};  ///< the same order
  std::int64_t layers_per_block = 2;
  std::int64_t norm_groups = 32;
  float norm_eps = 1e-6f;
  float batch_norm_eps = 1e-4f;  ///< of the latent statistics
  std::int64_t sample_size = 1024;
  bool use_quant_conv = true;
  bool use_post_quant_conv = true;
  bool mid_block_attention = true;

  /// Channels of a 2 x 2 patch of latents: what a latent token holds.
  std::int64_t patch_channels() const { return 4 * latent_channels; }
  /// Pixels along a side of a latent.
  std::int64_t downscale() const {
    return std::int64_t{1} << (static_cast<std::int64_t>(encoder_channels.size()) - 1);
  }

  /// @throws Error bad_file: a value is out of range or not what FLUX.2 has
  static AutoencoderConfig read(const ConfigFile& file);
};

}  // namespace flux2
