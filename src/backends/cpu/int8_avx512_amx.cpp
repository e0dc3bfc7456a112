#include <immintrin.h>

#include "backends/cpu/int8_kernels.h"

namespace flux2 {
namespace {

#include "backends/cpu/vector_avx512.inc"

#include "backends/cpu/for_vectors.inc"

#include "backends/cpu/int8_vector512.inc"

#include "base/amx_tiles.inc"

#include "backends/cpu/amx_panels.inc"

constexpr int kOperandBytes = 1;
constexpr int kOperandOffset = 0;           // signed times signed
constexpr int kMostRows = 192;              // all that int8_linear.cpp has at a time
constexpr std::int64_t kDepthGroups = 256;  // half a panel of them is 32 KB

inline void store_operand(std::byte* p, Integers x) {
  store_bytes(reinterpret_cast<std::int8_t*>(p), x);
}

#include "backends/cpu/int8_rows.inc"

void multiply_tile(const Int8Tile& tile) {
  multiply_panel<TileType::int8>({.rows = tile.rows,
                                  .units = tile.groups,
                                  .x = tile.x,
                                  .row_stride = tile.x_stride,
                                  .tile_stride = kTileRows * tile.x_stride,
                                  .step_stride = kTileBytes,
                                  .panel = reinterpret_cast<const std::byte*>(tile.panel),
                                  .sums = reinterpret_cast<std::byte*>(tile.sums)});
}

constexpr Int8Kernels kKernels = {
    .rows = kMostRows,
    .columns = kPanelColumns,
    .depth_groups = kDepthGroups,
    .operand_bytes = kOperandBytes,
    .operand_offset = kOperandOffset,
    .multiply = multiply_tile,
    .quantize_operand = {quantize_operand<float>, quantize_operand<std::uint16_t>},
    .quantize_weights = quantize_weights,
    .store = {store_output<float>, store_output<std::uint16_t>},
    .add = add_output};

}  // namespace

const Int8Kernels& int8_kernels_avx512_amx() {
  return kKernels;
}

}  // namespace flux2
