#include <immintrin.h>

#include "backends/cpu/int8_kernels.h"

namespace flux2 {
namespace {

#include "backends/cpu/vector_avx512.inc"

#include "backends/cpu/for_vectors.inc"

#include "backends/cpu/int8_vector512.inc"

constexpr int kOperandBytes = 2;
constexpr int kOperandOffset = 0;
constexpr int kTileRows = 8;  // 8 x 2 sums, 2 x 2 halves of weights, 2 of x, and products
constexpr int kTileVectors = 2;

// Four 16-bit integers a group, in the order 0, 2, 1, 3.
inline void store_operand(std::byte* p, Integers x) {
  constexpr long long kFirst = 0x0706'0302'0504'0100, kSecond = 0x0F0E'0B0A'0D0C'0908;
  const __m256i order = _mm256_set_epi64x(kSecond, kFirst, kSecond, kFirst);
  const __m256i words = _mm256_shuffle_epi8(_mm512_cvtepi32_epi16(x), order);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), words);
}

struct Weights {
  __m512i even, odd;
};
inline Weights load_weights(const std::int8_t* p) {
  const __m512i bytes = _mm512_loadu_si512(p);
  return {_mm512_srai_epi16(_mm512_slli_epi16(bytes, 8), 8), _mm512_srai_epi16(bytes, 8)};
}
struct Operand {
  __m512i even, odd;
};
// As floats, which compilers broadcast while they load.
inline Operand broadcast(const std::byte* p) {
  const auto* pairs = reinterpret_cast<const float*>(p);
  return {_mm512_castps_si512(_mm512_broadcastss_ps(_mm_load_ss(pairs))),
          _mm512_castps_si512(_mm512_broadcastss_ps(_mm_load_ss(pairs + 1)))};
}
inline Integers dot(Integers sums, Operand x, Weights weights) {
  const __m512i even = _mm512_madd_epi16(x.even, weights.even);
  return _mm512_add_epi32(sums, _mm512_add_epi32(even, _mm512_madd_epi16(x.odd, weights.odd)));
}

#include "backends/cpu/int8_rows.inc"

#include "backends/cpu/int8_tile.inc"

}  // namespace

const Int8Kernels& int8_kernels_avx512() {
  return kKernels;
}

}  // namespace flux2
