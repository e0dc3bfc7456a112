#include <immintrin.h>

#include "backends/cpu/int8_kernels.h"

namespace flux2 {
namespace {

#include "backends/cpu/vector_avx512.inc"

#include "backends/cpu/for_vectors.inc"

#include "backends/cpu/int8_vector512.inc"

#include "backends/cpu/amx_tiles.inc"

constexpr int kOperandBytes = 1;
constexpr int kOperandOffset = 0;  // signed times signed
constexpr int kColumns = 64;
constexpr std::int64_t kTileGroups = kTileBytes / kInt8Group;

inline void store_operand(std::byte* p, Integers x) {
  store_bytes(reinterpret_cast<std::int8_t*>(p), x);
}

#include "backends/cpu/int8_rows.inc"

// Two tiles of x that hold `rows` rows and `groups` groups of inputs, against whole columns.
TileShapes shapes_for(int rows, std::int64_t groups) {
  TileShapes shapes;
  for (int below = 0; below < 2; ++below) {
    const int left = rows - below * static_cast<int>(kTileRows);
    const int held = left < 1 ? 1 : left > kTileRows ? static_cast<int>(kTileRows) : left;
    shapes.rows[2 * below] = shapes.rows[2 * below + 1] = shapes.rows[4 + below] =
        static_cast<std::uint8_t>(held);
    shapes.bytes[4 + below] = static_cast<std::uint16_t>(groups * kInt8Group);
    shapes.rows[6 + below] = static_cast<std::uint8_t>(groups);
  }
  return shapes;
}

template <int kRows>
void multiply_columns(const Int8Tile& tile, std::int64_t begin, std::int64_t groups,
                      std::int64_t steps) {
  constexpr std::int64_t kRightStride = kColumns * kInt8Group;
  for (int column = 0; column < kColumns; column += 2 * kIntegers) {
    multiply_tiles<TileType::int8, Sums::stored, kRows, 2>(
        {.left = tile.x + begin * kInt8Group,
         .left_stride = tile.x_stride,
         .left_below = kTileRows * tile.x_stride,
         .left_step = groups * kInt8Group,
         .right = tile.panel + begin * kRightStride + column * kInt8Group,
         .right_stride = kRightStride,
         .right_step = groups * kRightStride,
         .steps = steps,
         .sums = tile.sums + column,
         .sums_stride = kColumns * 4});
  }
}

// `steps` times `groups` groups, from group `begin` on.
void multiply_steps(const Int8Tile& tile, std::int64_t begin, std::int64_t groups,
                    std::int64_t steps) {
  const TileUnit unit(shapes_for(tile.rows, groups));
  if (tile.rows > kTileRows) return multiply_columns<2>(tile, begin, groups, steps);
  multiply_columns<1>(tile, begin, groups, steps);
}

void multiply(const Int8Tile& tile) {
  const std::int64_t steps = tile.groups / kTileGroups, whole = steps * kTileGroups;
  if (steps > 0) multiply_steps(tile, 0, kTileGroups, steps);
  if (whole < tile.groups) multiply_steps(tile, whole, tile.groups - whole, 1);
}

constexpr Int8Kernels kKernels = {
    .rows = 2 * kTileRows,
    .columns = kColumns,
    .operand_bytes = kOperandBytes,
    .operand_offset = kOperandOffset,
    .multiply = multiply,
    .quantize_operand = {quantize_operand<float>, quantize_operand<std::uint16_t>},
    .quantize_weights = quantize_weights,
    .store = {store_output<float>, store_output<std::uint16_t>},
    .add = add_output};

}  // namespace

const Int8Kernels& int8_kernels_avx512_amx() {
  return kKernels;
}

}  // namespace flux2
