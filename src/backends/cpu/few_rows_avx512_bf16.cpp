#include <immintrin.h>

#include "backends/cpu/few_rows_kernels.h"

namespace flux2 {
namespace {

// A word is two bfloat16 neighbours, whose products are added in float.
inline __m512 accumulate(__m512 sum, __m512i lanes, const std::uint32_t* word) {
  const __m512i everywhere = _mm512_set1_epi32(static_cast<int>(*word));
  return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(lanes),
                          reinterpret_cast<__m512bh>(everywhere));
}

#include "backends/cpu/few_rows.inc"

}  // namespace

void multiply_few_rows_avx512_bf16(const FewRowsBlock& block) {
  multiply(block);
}

}  // namespace flux2
