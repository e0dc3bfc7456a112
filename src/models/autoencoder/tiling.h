#pragma once

#include <cstdint>
#include <functional>

#include "models/autoencoder/config.h"
#include "tensor/tensor.h"

namespace flux2 {

/// How a large picture is processed in overlapping tiles, as Diffusers' `enable_tiling` does.
struct Tiling {
  std::int64_t sample_size = 1024;  ///< pixels along a tile; larger pictures are tiled
  std::int64_t latent_size = 128;   ///< the same in latents
  double overlap = 0.25;            ///< of a tile
};

/// The tiles of Diffusers' `enable_tiling` for such a model.
Tiling tiling_of(const AutoencoderConfig& config);

/// Which side of the autoencoder the input of a tile is on.
enum class TileSource { picture, latents };

/// True if a picture (or latents) of this size is larger than a tile.
bool needs_tiles(const Tiling& tiling, TileSource source, std::int64_t height, std::int64_t width);

/// Runs `process` on each tile of `input` and blends the results: each tile's first rows and
/// columns fade from its upper and left neighbour, which are already blended themselves.
/// @param input    host [B, h, w, C]
/// @param process  tile [B, h', w', C] to its result, a host tensor scaled by the downscale
Tensor map_tiles(const Tiling& tiling, TileSource source, const Tensor& input,
                 const std::function<Tensor(const Tensor& tile)>& process);

}  // namespace flux2
