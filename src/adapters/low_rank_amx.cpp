#include <immintrin.h>

#include <cstddef>

#include "adapters/low_rank_kernels.h"

namespace flux2::low_rank {
namespace {

// The layout that the processor reads: palette 1, every register 16 rows of 64 bytes.
struct alignas(64) Shapes {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(Shapes) == 64 && kTileRows == 16 && kTilePairs * sizeof(std::uint32_t) == 64);

// Not on the stack: GCC takes the instruction for one that reads eight bytes, and drops the others.
constexpr Shapes kShapes;

}  // namespace

Tiles::Tiles() {
  _tile_loadconfig(&kShapes);
}

Tiles::~Tiles() {
  _tile_release();
}

// Registers 0 to 3 are sums of 16 columns each, 4 the upper factor, 5 to 7 the lower one.
void Tiles::multiply(const PairTile& tile) const {
  constexpr std::size_t kStride = kColumns * sizeof(std::uint32_t);
  const std::size_t up_stride = static_cast<std::size_t>(tile.pairs) * sizeof(std::uint32_t);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (std::int64_t pair = 0; pair < tile.pairs; pair += kTilePairs) {
    const std::uint32_t* down = tile.panel + pair * kColumns;
    _tile_loadd(4, tile.up + pair, up_stride);
    _tile_loadd(5, down, kStride);
    _tile_loadd(6, down + 16, kStride);
    _tile_dpbf16ps(0, 4, 5);
    _tile_loadd(7, down + 32, kStride);
    _tile_dpbf16ps(1, 4, 6);
    _tile_loadd(5, down + 48, kStride);
    _tile_dpbf16ps(2, 4, 7);
    _tile_dpbf16ps(3, 4, 5);
  }
  _tile_stored(0, tile.target, kStride);
  _tile_stored(1, tile.target + 16, kStride);
  _tile_stored(2, tile.target + 32, kStride);
  _tile_stored(3, tile.target + 48, kStride);
}

}  // namespace flux2::low_rank
