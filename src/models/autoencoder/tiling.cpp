#include "models/autoencoder/tiling.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace flux2 {
namespace {

constexpr int kRows = 1;
constexpr int kColumns = 2;

struct TileGrid {
  std::int64_t size;   // input along a tile
  std::int64_t step;   // input from one tile to the next
  std::int64_t blend;  // output rows or columns that fade
  std::int64_t keep;   // output of a tile that is kept
};

std::int64_t part(std::int64_t size, double share) {
  return static_cast<std::int64_t>(static_cast<double>(size) * share);
}

TileGrid grid_of(const Tiling& tiling, TileSource source) {
  const bool latents = source == TileSource::latents;
  const std::int64_t in = latents ? tiling.latent_size : tiling.sample_size;
  const std::int64_t out = latents ? tiling.sample_size : tiling.latent_size;
  const std::int64_t blend = part(out, tiling.overlap);
  return {in, part(in, 1 - tiling.overlap), blend, out - blend};
}

// The first `extent` rows (or columns) of `tile` fade from the last ones of `before`, in place.
void fade(const Tensor& before, const Tensor& tile, int axis, std::int64_t extent) {
  extent = std::min({before.dim(axis), tile.dim(axis), extent});
  for (std::int64_t i = 0; i < extent; ++i) {
    const Tensor from = before.slice(axis, before.dim(axis) - extent + i, 1);
    const Tensor to = tile.slice(axis, i, 1);
    const float weight = static_cast<float>(static_cast<double>(i) / static_cast<double>(extent));
    const float rest = static_cast<float>(1 - static_cast<double>(i) / static_cast<double>(extent));
    for (std::int64_t b = 0; b < to.dim(0); ++b) {
      for (std::int64_t y = 0; y < to.dim(1); ++y) {
        for (std::int64_t x = 0; x < to.dim(2); ++x) {
          const float* a =
              from.f32() + b * from.stride(0) + y * from.stride(1) + x * from.stride(2);
          float* t = to.f32() + b * to.stride(0) + y * to.stride(1) + x * to.stride(2);
          for (std::int64_t c = 0; c < to.dim(3); ++c)
            t[c] = a[c] * rest + t[c] * weight;
        }
      }
    }
  }
}

// Copies the kept part of `tile` to row `y` and column `x` of `result`.
void place(const Tensor& tile, const Tensor& result, std::int64_t y, std::int64_t x,
           std::int64_t keep) {
  const std::int64_t rows = std::min(keep, tile.dim(1));
  const std::int64_t columns = std::min(keep, tile.dim(2));
  const std::size_t bytes = static_cast<std::size_t>(columns * tile.dim(3)) * sizeof(float);
  for (std::int64_t b = 0; b < tile.dim(0); ++b) {
    for (std::int64_t row = 0; row < rows; ++row) {
      std::memcpy(
          result.f32() + b * result.stride(0) + (y + row) * result.stride(1) + x * result.stride(2),
          tile.f32() + b * tile.stride(0) + row * tile.stride(1), bytes);
    }
  }
}

Tensor tile_at(const Tensor& input, std::int64_t y, std::int64_t x, std::int64_t size) {
  return input.slice(kRows, y, std::min(size, input.dim(1) - y))
      .slice(kColumns, x, std::min(size, input.dim(2) - x));
}

}  // namespace

Tiling tiling_of(const AutoencoderConfig& config) {
  constexpr double kOverlap = 0.25;
  return {config.sample_size, config.sample_size / config.downscale(), kOverlap};
}

bool needs_tiles(const Tiling& tiling, TileSource source, std::int64_t height, std::int64_t width) {
  return std::max(height, width) > grid_of(tiling, source).size;
}

Tensor map_tiles(const Tiling& tiling, TileSource source, const Tensor& input,
                 const std::function<Tensor(const Tensor& tile)>& process) {
  const TileGrid grid = grid_of(tiling, source);
  const bool enlarging = source == TileSource::latents;
  const std::int64_t scale = tiling.sample_size / tiling.latent_size;
  const auto scaled = [&](std::int64_t size) { return enlarging ? size * scale : size / scale; };

  Tensor result;
  std::vector<Tensor> above;
  for (std::int64_t y = 0, out_y = 0; y < input.dim(1); y += grid.step, out_y += grid.keep) {
    std::vector<Tensor> row;
    for (std::int64_t x = 0, out_x = 0; x < input.dim(2); x += grid.step, out_x += grid.keep) {
      const Tensor tile = process(tile_at(input, y, x, grid.size));
      if (!result.defined()) {
        result = make_host_tensor(
            {input.dim(0), scaled(input.dim(1)), scaled(input.dim(2)), tile.dim(3)});
      }
      if (!above.empty()) fade(above[row.size()], tile, kRows, grid.blend);
      if (!row.empty()) fade(row.back(), tile, kColumns, grid.blend);
      place(tile, result, out_y, out_x, grid.keep);
      row.push_back(tile);
    }
    above = std::move(row);
  }
  return result;
}

}  // namespace flux2
