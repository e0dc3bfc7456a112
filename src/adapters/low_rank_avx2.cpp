#include "adapters/low_rank_kernels.h"

namespace flux2::low_rank {
namespace {
constexpr int kLanes = 8;
constexpr int kVectors = 2;

#include "adapters/low_rank.inc"

}  // namespace

void multiply_avx2(const Tile& tile) {
  for (std::int64_t column = 0; column < kColumns; column += kLanes * kVectors)
    multiply_stripe(tile, column);
}

}  // namespace flux2::low_rank
