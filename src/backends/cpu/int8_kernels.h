#pragma once

#include <cstddef>
#include <cstdint>

#include "backends/cpu/kernels.h"

// The contract between int8_linear.cpp, which packs weights and splits the work, and the kernels
// that are compiled once an instruction set; kernels.h says what these files may include.
//
// Weights lie in panels of `columns` outputs: [panel][group][column][4], a group being four
// neighbouring inputs, which is what one 32-bit lane of an integer dot product takes. Inputs and
// outputs are padded with zeros.
//
// A row of x is written as the `operand` that the dot product wants:
//
//   VNNI       one unsigned byte an input, q + 128; `start` takes the 128 out again
//   otherwise  four 16-bit integers a group, in the order 0, 2, 1, 3: the even and the odd bytes
//              of a lane of weights become 16-bit integers by two shifts, and each pair of
//              products and its sum fit 32 bits. Pairs of 8-bit products would not fit the 16
//              bits of vpmaddubsw.
namespace flux2 {

inline constexpr std::int64_t kInt8Group = 4;
/// The largest magnitude of a quantised number: symmetric, so that -q is one too.
inline constexpr float kInt8Most = 127.0f;
/// Operand rows are written in whole vectors of so many inputs.
inline constexpr std::int64_t kInt8OperandPadding = 16;
/// The most outputs in a panel of any variant.
inline constexpr int kInt8MostColumns = 64;

/// sums [rows, columns] += x W^T over some groups of one panel.
struct Int8Tile {
  int rows = 0;  ///< at most Int8Kernels::rows
  std::int64_t groups = 0;
  const std::byte* x = nullptr;  ///< operands of the first group
  std::int64_t x_stride = 0;     ///< bytes from row to row
  const std::int8_t* panel = nullptr;
  std::int32_t* sums = nullptr;
};

/// One row to be quantised.
struct Int8Input {
  const void* x;  ///< floats for weights
  std::int64_t width;
  /// Scratch [width]: the row is rotated before, x H / 8 with H the 64 x 64 Hadamard matrix, over
  /// x as [64, width / 64] by its first axis. Null: it is not.
  float* rotated;
  void* out;  ///< in whole vectors: up to kInt8OperandPadding inputs
};

/// One row of a panel's outputs: y = sums * (row_scale * scales) + bias.
struct Int8Output {
  const std::int32_t* sums;
  const float* scales;
  const float* bias;  ///< or null
  const float* gate;  ///< or null: 1
  float row_scale;
  void* out;
  std::int64_t count;
};

struct Int8Kernels {
  int rows;     ///< of a full tile
  int columns;  ///< of a panel
  /// Groups that are summed up before the next rows come: what of a panel stays in a near cache.
  std::int64_t depth_groups;
  int operand_bytes;   ///< an input
  int operand_offset;  ///< what is added to each input: 128 or 0
  void (*multiply)(const Int8Tile& tile);
  /// Writes an operand row and returns its scale: the largest magnitude / 127, 0 for a row of
  /// zeros (or of numbers below what 127 can be divided by), NaN where one is not finite.
  float (*quantize_operand[kElements])(const Int8Input& row);
  /// The same for a row of weights, which become plain bytes.
  float (*quantize_weights)(const Int8Input& row);
  /// out = y
  void (*store[kElements])(const Int8Output& row);
  /// out += gate * y
  void (*add)(const Int8Output& row);
};

const Int8Kernels& int8_kernels_avx2();
const Int8Kernels& int8_kernels_avx512();
const Int8Kernels& int8_kernels_avx512_vnni();
const Int8Kernels& int8_kernels_avx512_amx();

}  // namespace flux2
