#pragma once

#include <cstdint>
#include <vector>

#include "checkpoint/config_file.h"

namespace flux2 {

/// transformer/config.json of a Flux2Transformer2DModel. Defaults are FLUX.2 [dev]'s, as in
/// Diffusers.
struct TransformerConfig {
  std::int64_t in_channels = 128;   ///< width of a latent token
  std::int64_t out_channels = 128;  ///< width of a velocity token
  std::int64_t double_blocks = 8;
  std::int64_t single_blocks = 48;
  std::int64_t heads = 48;
  std::int64_t head_dim = 128;
  std::int64_t text_dim = 15360;  ///< width of a text embedding (joint_attention_dim)
  std::int64_t timestep_channels = 256;
  std::int64_t mlp_hidden = 18432;                         ///< after SwiGLU: mlp_ratio * dim()
  std::vector<std::int64_t> rope_axes = {32, 32, 32, 32};  ///< rotary width of t, h, w, l
  double rope_theta = 2000;
  float eps = 1e-6f;
  bool guidance_embeds = true;

  /// D, the width of a token inside the model.
  std::int64_t dim() const { return heads * head_dim; }

  /// @throws Error bad_file: a value is missing, out of range or contradicts another
  static TransformerConfig read(const ConfigFile& file);
};

}  // namespace flux2
