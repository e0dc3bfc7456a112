#pragma once

#include <cstdint>
#include <span>

#include "tensor/tensor.h"

namespace flux2 {

/// Whose noise a picture starts from.
enum class NoiseKind {
  torch_cpu,         ///< a CPU generator of torch 2.15 or later
  torch_cpu_legacy,  ///< of an earlier torch: other numbers in bf16 and f16, the same in f32
  torch_cuda,        ///< a CUDA generator
};

/// Where noise comes from, beside its seeds.
struct NoiseSource {
  NoiseKind kind = NoiseKind::torch_cpu;
  /// What torch draws in: f32, bf16 or f16. Diffusers draws in the text encoder's.
  DType dtype = DType::f32;
  /// torch_cuda only: threads that fill the card; see cuda_card_threads.
  std::int64_t card_threads = 132 * 2048;
};

/// The noise that Diffusers' randn_tensor draws for `shape`, before it is packed into tokens.
/// @param seeds  one: a single generator draws the whole batch; or one for each sample
/// @param shape  [B, C, h, w]; drawn channel-major in this order
/// @return f32, of `shape`, its values rounded to source.dtype
/// @throws Error invalid_request: the number of seeds is neither 1 nor B; a dtype or thread count
///         that cannot be drawn
Tensor initial_noise(const NoiseSource& source, std::span<const std::uint64_t> seeds,
                     const Shape& shape);

}  // namespace flux2
