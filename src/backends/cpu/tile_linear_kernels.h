#pragma once

#include <cstddef>
#include <cstdint>

#include "backends/cpu/kernels.h"

// The contract between tile_linear.cpp, which splits the work, and the kernels for AMX; kernels.h
// says what these files may include. A panel is 64 outputs of weight_blocks.h.
namespace flux2 {

/// A tile of x: 16 rows of 32 bfloat16 inputs, which are a step.
inline constexpr std::int64_t kTileLinearRows = 16;
inline constexpr std::int64_t kTileLinearBytes = 64;

/// sums [rows][64] += x W^T over some inputs of one panel.
struct TileLinearPart {
  std::int64_t rows = 0;
  std::int64_t steps = 0;
  const std::byte* x = nullptr;  ///< [rows / 16][steps] tiles, one behind another
  const std::byte* panel = nullptr;
  float* sums = nullptr;
};

/// One row of a panel's outputs: y = sums + bias.
struct TileLinearOutput {
  const float* sums;
  const float* bias;  ///< or null
  const float* gate;  ///< or null: 1
  void* out;
  std::int64_t count;
};

struct TileLinearKernels {
  void (*multiply)(const TileLinearPart& part);
  /// out = y
  void (*store[kElements])(const TileLinearOutput& row);
  /// out += gate * y
  void (*add)(const TileLinearOutput& row);
};

const TileLinearKernels& tile_linear_kernels_avx512_amx();

}  // namespace flux2
