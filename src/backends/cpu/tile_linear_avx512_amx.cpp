#include <immintrin.h>

#include "backends/cpu/tile_linear_kernels.h"

namespace flux2 {
namespace {

#include "backends/cpu/vector_avx512.inc"

#include "backends/cpu/for_vectors.inc"

#include "base/amx_tiles.inc"

#include "backends/cpu/amx_panels.inc"

static_assert(kTileRows == kTileLinearRows && kTileBytes == kTileLinearBytes);

void multiply_part(const TileLinearPart& part) {
  multiply_panel<TileType::bf16>({.rows = part.rows,
                                  .units = part.steps * kTileUnits,
                                  .x = part.x,
                                  .row_stride = kTileBytes,
                                  .tile_stride = part.steps * kTileRows * kTileBytes,
                                  .step_stride = kTileRows * kTileBytes,
                                  .panel = part.panel,
                                  .sums = reinterpret_cast<std::byte*>(part.sums)});
}

template <typename Lanes>
inline Vector output_of(const TileLinearOutput& row, std::int64_t i, Lanes lanes) {
  const Vector sums = load(row.sums + i, lanes);
  return row.bias == nullptr ? sums : add(sums, load(row.bias + i, lanes));
}

template <typename Out>
void store_output(const TileLinearOutput& row) {
  for_vectors(row.count, [&row, out = static_cast<Out*>(row.out)](std::int64_t i, auto lanes) {
    store(out + i, output_of(row, i, lanes), lanes);
  });
}

void add_output(const TileLinearOutput& row) {
  for_vectors(row.count, [&row, out = static_cast<float*>(row.out)](std::int64_t i, auto lanes) {
    const Vector gate = row.gate == nullptr ? set(1.0f) : load(row.gate + i, lanes);
    store(out + i, multiply_add(gate, output_of(row, i, lanes), load(out + i, lanes)), lanes);
  });
}

constexpr TileLinearKernels kKernels = {.multiply = multiply_part,
                                        .store = {store_output<float>, store_output<std::uint16_t>},
                                        .add = add_output};

}  // namespace

const TileLinearKernels& tile_linear_kernels_avx512_amx() {
  return kKernels;
}

}  // namespace flux2
