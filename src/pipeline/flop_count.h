#pragma once

#include <cstdint>

#include "models/autoencoder/config.h"
#include "models/flux2/config.h"

/// Floating point operations (a multiplication and an addition are two) of the matrix products,
/// convolutions and attentions: what time is spent on.
namespace flux2 {

/// One forward pass of the transformer over one sample, the text's embedding left out.
/// @param txt  text tokens
/// @param img  tokens of the picture and of references
double transformer_flop(const TransformerConfig& config, std::int64_t txt, std::int64_t img);

/// The VAE's decoder for latents [1, rows, columns, 32].
double decoder_flop(const AutoencoderConfig& config, std::int64_t rows, std::int64_t columns);

}  // namespace flux2
