#include "adapters/low_rank_kernels.h"

namespace flux2::low_rank {
namespace {
constexpr int kLanes = 16;
constexpr int kVectors = 4;

#include "adapters/low_rank.inc"

}  // namespace

void multiply_avx512(const Tile& tile) {
  for (std::int64_t column = 0; column < kColumns; column += kLanes * kVectors)
    multiply_stripe(tile, column);
}

}  // namespace flux2::low_rank
