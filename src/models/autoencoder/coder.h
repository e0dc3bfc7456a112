#pragma once

#include "models/autoencoder/weights.h"
#include "ops/ops.h"

namespace flux2 {

/// Picture in [-1, 1] to the moments of its latents (mean, then log variance).
/// @param picture  [B, H, W, 3];  H and W multiples of the downscale
/// @return [B, H / 8, W / 8, 64], a stream
Tensor encode_picture(Ops& ops, const CoderWeights& weights, const Tensor& picture);

/// Latents to picture, not clamped.
/// @param latents  [B, h, w, 32]
/// @return [B, 8 h, 8 w, 3], a stream
Tensor decode_latents(Ops& ops, const CoderWeights& weights, const Tensor& latents);

}  // namespace flux2
