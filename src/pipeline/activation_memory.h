#pragma once

#include <cstdint>

#include "models/autoencoder/config.h"
#include "models/flux2/config.h"

namespace flux2 {

/// Bytes of activations that one forward pass of the transformer has at once: the residual stream
/// and the widest intermediate results of a single-stream block.
/// @param tokens        of the whole batch: text, latents and references
/// @param operand_size  bytes of a matmul input: 2 in bf16, 4 in f32
std::int64_t transformer_activations(const TransformerConfig& config, std::int64_t tokens,
                                     std::int64_t operand_size);

/// The same of the VAE at its widest: the last resolution, where the picture has its full size.
/// @param pixels  of one picture, or of one tile
std::int64_t autoencoder_activations(const AutoencoderConfig& config, std::int64_t pixels,
                                     std::int64_t operand_size);

}  // namespace flux2
