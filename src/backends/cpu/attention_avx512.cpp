#include <immintrin.h>

#include "backends/cpu/attention_kernels.h"

namespace flux2 {
namespace {

// Each builds on those before it.
#include "backends/cpu/attention_vector512.inc"

#include "backends/cpu/attention_words_f32.inc"

#include "backends/cpu/attention_rows.inc"

#include "backends/cpu/attention_pack.inc"

#include "backends/cpu/attention_products.inc"

#include "backends/cpu/attention_tile.inc"

#include "backends/cpu/attention_few.inc"

}  // namespace

const AttentionKernels& attention_kernels_avx512() {
  return kKernels;
}

void attend_few_avx512(const AttentionTile& tile) {
  attend_few(tile);
}

}  // namespace flux2
