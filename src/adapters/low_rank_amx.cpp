#include <immintrin.h>

#include <cstddef>

#include "adapters/low_rank_kernels.h"

namespace flux2::low_rank {
namespace {

namespace amx {
#include "base/amx_tiles.inc"
}  // namespace amx

static_assert(amx::kTileRows == kTileRows && amx::kTileBytes == kTilePairs * 4);

}  // namespace

Tiles::Tiles() {
  amx::load_tile_shapes({});
}

Tiles::~Tiles() {
  _tile_release();
}

void Tiles::multiply(const PairTile& tile) const {
  constexpr std::int64_t kStride = kColumns * static_cast<std::int64_t>(sizeof(std::uint32_t));
  constexpr std::int64_t kTwoTiles = 2 * amx::kTileRows;
  for (std::int64_t column = 0; column < kColumns; column += kTwoTiles) {
    amx::multiply_tiles<amx::TileType::bf16, amx::Sums::zero, 1, 2>(
        {.left = tile.up,
         .left_stride = tile.pairs * static_cast<std::int64_t>(sizeof(std::uint32_t)),
         .left_below = 0,
         .left_step = amx::kTileBytes,
         .right = tile.panel + column,
         .right_stride = kStride,
         .right_step = kTilePairs * kStride,
         .steps = tile.pairs / kTilePairs,
         .sums = tile.target + column,
         .sums_stride = kStride});
  }
}

}  // namespace flux2::low_rank
