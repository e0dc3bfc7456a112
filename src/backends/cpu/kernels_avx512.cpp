#include <immintrin.h>

#include <cstdint>

#include "backends/cpu/kernels.h"

namespace flux2 {
namespace {

#include "backends/cpu/vector_avx512.inc"

#include "backends/cpu/for_vectors.inc"

// The order matters: kernels are written in terms of vectors.
#include "backends/cpu/kernels.inc"
}  // namespace

const Kernels& kernels_avx512() {
  return kKernels;
}

}  // namespace flux2
