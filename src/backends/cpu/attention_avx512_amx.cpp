#include <immintrin.h>

#include "backends/cpu/attention_kernels.h"

namespace flux2 {
namespace {

// Each builds on those before it.
#include "base/amx_tiles.inc"

#include "backends/cpu/attention_vector512.inc"

#include "backends/cpu/attention_words_bf16.inc"

#include "backends/cpu/attention_rows.inc"

#include "backends/cpu/attention_pack_amx.inc"

#include "backends/cpu/attention_products_amx.inc"

#include "backends/cpu/attention_tile.inc"

}  // namespace

const AttentionKernels& attention_kernels_avx512_amx() {
  return kKernels;
}

}  // namespace flux2
