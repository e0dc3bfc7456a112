#pragma once

#include <cstdint>
#include <optional>
#include <random>

#include "tensor/tensor.h"

namespace flux2 {

/// The random numbers of `torch.Generator("cpu")`: MT19937 and the distributions over it.
class Generator {
 public:
  /// Seeds as `manual_seed`: only the low 32 bits matter.
  explicit Generator(std::uint64_t seed) : engine_(static_cast<std::uint32_t>(seed)) {}

  /// One word of the stream.
  std::uint32_t random() { return static_cast<std::uint32_t>(engine_()); }
  /// Two words, the first one on top.
  std::uint64_t random64();
  /// In [0, 1): the low 24 bits of one word.
  float uniform();
  /// In [0, 1): the low 53 bits of two words.
  double uniform_double();
  /// One standard normal number, as torch draws them for fewer than 16 elements. They come in
  /// pairs; the second is kept for the next call, whatever else is drawn in between.
  double normal();

 private:
  std::mt19937 engine_;
  std::optional<double> spare_normal_;
};

/// How bfloat16 and half tensors of 16 or more normal numbers are drawn. Other dtypes and sizes
/// are the same in both.
enum class HalfNormals {
  rounded,  ///< torch 2.15: as float, rounded at the end
  /// Before it: from uniforms of 8 (bfloat16) or 11 (half) bits, every intermediate value rounded.
  /// Coarse (|x| < 3.4 in bfloat16) and unlike the float numbers of the same seed.
  legacy,
};

/// `torch.rand(shape, generator=...)`: uniform in [0, 1), f32, dense, of any shape.
Tensor rand(Generator& generator, const Shape& shape);

/// `torch.randn(shape, generator=..., dtype=...)`: standard normal numbers, bit for bit those of
/// torch's x86 builds (its AVX2 path; other processors differ in the last bit).
/// @param dtype  f32, bf16, f16 or f64
/// @return dense, of `shape` and `dtype`
/// @throws Error internal for another dtype
Tensor randn(Generator& generator, const Shape& shape, DType dtype,
             HalfNormals half_normals = HalfNormals::rounded);

}  // namespace flux2
