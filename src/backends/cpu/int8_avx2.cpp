#include <immintrin.h>

#include "backends/cpu/int8_kernels.h"

namespace flux2 {
namespace {

#include "backends/cpu/vector_avx2.inc"

#include "backends/cpu/for_vectors.inc"

constexpr int kOperandBytes = 2;
constexpr int kOperandOffset = 0;
constexpr int kTileRows = 4;  // 4 x 2 sums, 2 x 2 halves of weights, 2 of x, 2 products: all 16
constexpr int kTileVectors = 2;

using Integers = __m256i;
constexpr int kIntegers = 8;

inline Vector larger_magnitude(Vector a, Vector x) {
  const __m256i magnitude = _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7FFFFFFF));
  return _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(a), magnitude));
}
inline Integers to_integers(Vector x) {
  return _mm256_cvtps_epi32(x);
}
inline Vector to_floats(const std::int32_t* p) {
  return _mm256_cvtepi32_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline Integers load_integers(const std::int32_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
inline void store_integers(std::int32_t* p, Integers x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x);
}
inline __m128i to_words(Integers x) {
  return _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
}
inline void store_bytes(std::int8_t* p, Integers x) {
  const __m128i words = to_words(x);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
}
// Four 16-bit integers a group, in the order 0, 2, 1, 3.
inline void store_operand(std::byte* p, Integers x) {
  const __m128i order = _mm_set_epi64x(0x0F0E'0B0A'0D0C'0908, 0x0706'0302'0504'0100);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_shuffle_epi8(to_words(x), order));
}

struct Weights {
  __m256i even, odd;
};
inline Weights load_weights(const std::int8_t* p) {
  const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {_mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8), _mm256_srai_epi16(bytes, 8)};
}
struct Operand {
  __m256i even, odd;
};
// As floats, which compilers broadcast while they load.
inline Operand broadcast(const std::byte* p) {
  const auto* pairs = reinterpret_cast<const float*>(p);
  return {_mm256_castps_si256(_mm256_broadcast_ss(pairs)),
          _mm256_castps_si256(_mm256_broadcast_ss(pairs + 1))};
}
inline Integers dot(Integers sums, Operand x, Weights weights) {
  const __m256i even = _mm256_madd_epi16(x.even, weights.even);
  return _mm256_add_epi32(sums, _mm256_add_epi32(even, _mm256_madd_epi16(x.odd, weights.odd)));
}

#include "backends/cpu/int8_rows.inc"

#include "backends/cpu/int8_tile.inc"

}  // namespace

const Int8Kernels& int8_kernels_avx2() {
  return kKernels;
}

}  // namespace flux2
