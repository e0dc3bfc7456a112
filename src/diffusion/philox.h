#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "tensor/tensor.h"

namespace flux2 {

/// An NVIDIA card by what torch's random numbers depend on: how many threads fill it.
struct CudaCard {
  std::string_view name;
  std::int64_t multiprocessors;
  std::int64_t threads_per_multiprocessor;

  constexpr std::int64_t threads() const { return multiprocessors * threads_per_multiprocessor; }
};

inline constexpr std::array kCudaCards = {
    CudaCard{.name = "h100", .multiprocessors = 132, .threads_per_multiprocessor = 2048},
    CudaCard{.name = "h200", .multiprocessors = 132, .threads_per_multiprocessor = 2048},
    CudaCard{.name = "a100", .multiprocessors = 108, .threads_per_multiprocessor = 2048},
    CudaCard{.name = "rtx4090", .multiprocessors = 128, .threads_per_multiprocessor = 1536},
    CudaCard{.name = "rtx3090", .multiprocessors = 82, .threads_per_multiprocessor = 1536},
};

/// Threads of a card of kCudaCards.
/// @throws Error invalid_request for another name; its hint lists the known ones
std::int64_t cuda_card_threads(std::string_view name);

/// The random numbers of `torch.Generator("cuda")`: Philox4x32-10 as a kernel of so many threads
/// draws it.
class PhiloxGenerator {
 public:
  /// @param seed          all 64 bits matter
  /// @param card_threads  multiprocessors * threads each, a positive multiple of 256
  /// @throws Error invalid_request for another thread count
  PhiloxGenerator(std::uint64_t seed, std::int64_t card_threads);

  /// `torch.randn(shape, device="cuda", generator=..., dtype=...)`. The random words are torch's;
  /// a GPU's fast sine and cosine leave differences of about 1e-6 in float.
  /// @param dtype  f32, bf16 or f16: drawn in float, then rounded
  /// @throws Error invalid_request for 2^29 elements or more, which torch splits over kernels
  Tensor randn(const Shape& shape, DType dtype);

  /// Words that each thread has used up so far.
  std::uint64_t offset() const { return offset_; }

 private:
  std::uint64_t seed_;
  std::int64_t card_threads_;
  std::uint64_t offset_ = 0;
};

/// The four words of Philox4x32-10 for one counter and key (Salmon et al. 2011).
std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key);

}  // namespace flux2
