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

/// target = up * panel of kRows rows.
using Multiply = void (*)(const Tile& tile);

void multiply_avx2(const Tile& tile);
void multiply_avx512(const Tile& tile);

}  // namespace flux2::low_rank
