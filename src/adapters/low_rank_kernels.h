#pragma once

#include <cstdint>

// Included by files that are compiled for one instruction set: nothing in here may be code that
// the linker could take for that of another file.

namespace flux2::low_rank {

/// kRows rows of one panel of kColumns columns.
struct Tile {
  const float* up;     ///< [kRows, rank], dense
  const float* panel;  ///< [rank, kColumns], dense
  float* target;       ///< [kRows, kColumns], dense: is overwritten
  std::int64_t rank;
};

constexpr std::int64_t kColumns = 64;
constexpr int kRows = 4;
constexpr int kTileRows = 16;
constexpr std::int64_t kTilePairs = 16;

/// kTileRows rows of one panel of kColumns columns, in words of two bfloat16 that follow one
/// another along the rank, the first in the lower half.
struct PairTile {
  const std::uint32_t* up;     ///< [kTileRows, pairs], dense
  const std::uint32_t* panel;  ///< [pairs, kColumns], dense
  float* target;               ///< [kTileRows, kColumns], dense: is overwritten
  std::int64_t pairs;          ///< a multiple of kTilePairs
};

/// The tile registers (AMX), set up for this thread while it lives. See may_use_tiles.
class Tiles {
 public:
  Tiles();
  ~Tiles();
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

  /// target = up * panel.
  void multiply(const PairTile& tile) const;
};

/// target = up * panel of kRows rows.
using Multiply = void (*)(const Tile& tile);

void multiply_avx2(const Tile& tile);
void multiply_avx512(const Tile& tile);

}  // namespace flux2::low_rank
