#pragma once

#include <optional>

#include "diffusion/latents.h"
#include "flux2/pipeline.h"
#include "images/geometry.h"
#include "pipeline/parts_context.h"

/// The autoencoder by itself: between pixels, its latents and the tokens that the steps work on.
namespace flux2 {

/// The statistics that latent tokens are normalised with.
LatentStatistics latent_statistics(const Autoencoder& autoencoder);

/// How a picture of `size` is decoded: whole where the caller and memory allow it.
/// @throws Error out_of_memory: not even what is allowed fits
std::optional<Tiling> decoder_tiling(const PartsContext& ctx, const Autoencoder& autoencoder,
                                     Size size);

/// How pictures are encoded: whole, unless the caller asks for tiles.
std::optional<Tiling> encoder_tiling(const PartsContext& ctx, const Autoencoder& autoencoder);

/// Pipeline's members of the same names.
LatentDistribution encode_image(const PartsContext& ctx, const FloatArray& pixels);
FloatArray decode_latents(const PartsContext& ctx, const FloatArray& latents);
FloatArray pack_latents(const PartsContext& ctx, const FloatArray& latents);
FloatArray unpack_latents(const PartsContext& ctx, const FloatArray& tokens, Size size);

}  // namespace flux2
