#include <immintrin.h>

#include "backends/cpu/few_rows_kernels.h"

namespace flux2 {
namespace {

// A word is one float.
inline __m512 accumulate(__m512 sum, __m512i lanes, const std::uint32_t* word) {
  const __m512i everywhere = _mm512_set1_epi32(static_cast<int>(*word));
  return _mm512_fmadd_ps(_mm512_castsi512_ps(lanes), _mm512_castsi512_ps(everywhere), sum);
}

#include "backends/cpu/few_rows.inc"

}  // namespace

void multiply_few_rows_avx512(const FewRowsBlock& block) {
  multiply(block);
}

}  // namespace flux2
