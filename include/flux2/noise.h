#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "flux2/array.h"
#include "flux2/export.h"
#include "flux2/request.h"

namespace FLUX2_API flux2 {

/// The random numbers of `torch.Generator("cpu")`, going on from one call to the next: a request's
/// `noise_source` may draw from them. Not for use by several threads at once.
class NoiseGenerator {
 public:
  /// @param seed   as `manual_seed`
  /// @param noise  torch_cpu or torch_cpu_legacy
  /// @throws Error invalid_request: torch_cuda
  explicit NoiseGenerator(std::uint64_t seed, Noise noise = Noise::torch_cpu);
  /// Leaves nothing but a generator that may be assigned to.
  NoiseGenerator(NoiseGenerator&&) noexcept;
  /// The same.
  NoiseGenerator& operator=(NoiseGenerator&&) noexcept;
  ~NoiseGenerator();

  /// Standard normal numbers: what `torch.randn(shape, generator=..., dtype=...)` would draw next.
  /// @param shape  1 to 6 dimensions, at most 2^31 numbers
  /// @param dtype  the type they are drawn in, as torch rounds it; the array holds floats
  /// @throws Error invalid_request: another shape
  FloatArray randn(const std::vector<std::int64_t>& shape, NoiseDType dtype = NoiseDType::f32);

 private:
  class FLUX2_PRIVATE Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace flux2
