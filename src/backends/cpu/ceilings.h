#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "tensor/dtype.h"

namespace flux2 {

/// What oneDNN multiplies in.
enum class MatmulType {
  f32,
  bf16,
  int8,  ///< unsigned times signed bytes, summed as 32-bit integers
};

/// A product [rows, in] x [in, out].
struct MatmulShape {
  std::int64_t rows, in, out;
};

/// What this machine can do at most, with as many threads as thread_count() says. Everything else
/// is measured against it.
struct CpuCeilings {
  double matmul_f32 = 0;              ///< FLOP/s
  std::optional<double> matmul_bf16;  ///< FLOP/s; only with the processor's own instructions
  double matmul_int8 = 0;             ///< 2 x multiplications a second
  double convolution = 0;  ///< FLOP/s of 3x3 over 512 channels, bf16 where there is, else f32
  double read = 0;         ///< bytes/s out of memory
  double copy = 0;         ///< bytes/s in and out of memory
};

/// FLOP/s of oneDNN's matmul with weights in its own layout: the fastest of the runs within
/// `seconds`, since a ceiling is not an average.
double matmul_ceiling(MatmulType type, const MatmulShape& shape, double seconds);

/// The best of FLUX.2's matmul shapes, a convolution and the memory.
/// @param seconds  for each measurement, of which there are up to twelve
CpuCeilings measure_cpu_ceilings(double seconds);

/// Bytes/s of reading and copying 512 MiB buffers, which are past every cache.
struct Bandwidth {
  double read;
  double copy;  ///< a copied byte counts twice
};
Bandwidth measure_bandwidth(double seconds);

}  // namespace flux2
