#include <immintrin.h>

#include "backends/cpu/int8_kernels.h"

namespace flux2 {
namespace {

#include "backends/cpu/vector_avx512.inc"

#include "backends/cpu/for_vectors.inc"

#include "backends/cpu/int8_vector512.inc"

constexpr int kOperandBytes = 1;
constexpr int kOperandOffset = 128;
constexpr int kTileRows = 6;  // 6 x 4 sums, 4 vectors of weights, 1 of x: 29 of 32 registers
constexpr int kTileVectors = 4;

inline void store_operand(std::byte* p, Integers x) {
  const __m512i shifted = _mm512_add_epi32(x, _mm512_set1_epi32(kOperandOffset));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(shifted));
}

using Weights = __m512i;
inline Weights load_weights(const std::int8_t* p) {
  return _mm512_loadu_si512(p);
}
using Operand = __m512i;
inline Operand broadcast(const std::byte* p) {
  std::int32_t group;
  __builtin_memcpy(&group, p, sizeof(group));
  return _mm512_set1_epi32(group);
}
inline Integers dot(Integers sums, Operand x, Weights weights) {
  return _mm512_dpbusd_epi32(sums, x, weights);
}

#include "backends/cpu/int8_rows.inc"

#include "backends/cpu/int8_tile.inc"

}  // namespace

const Int8Kernels& int8_kernels_avx512_vnni() {
  return kKernels;
}

}  // namespace flux2
