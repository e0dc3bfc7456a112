#pragma once

#include <cstdint>

// The contract between the common code, which splits work among threads and knows tensors, and the
// row kernels, which are compiled once an instruction set.
//
// One definition rule: an inline function or template that both sides instantiate exists once in
// the program, perhaps in the version with the wider instructions, and would crash an older
// processor in code that never asked for them. So this header holds plain structs and function
// pointers only, and the kernel files include nothing but this, <cstdint> and <immintrin.h>, with
// everything they define in an anonymous namespace.
namespace flux2 {

/// Element types that kernels read and write. The values index the tables below.
enum class Element : std::uint8_t { f32, bf16 };
inline constexpr int kElements = 2;

struct AdalnRow {
  const void* x;
  const float* scale;
  const float* shift;
  void* out;
  std::int64_t width;
  float eps;
};

struct RmsNormRow {
  const void* x;
  const float* weight;
  void* out;
  std::int64_t width;
  float eps;
};

/// The heads of one token, in place.
struct RopeToken {
  void* x;
  std::int64_t heads;
  std::int64_t head_stride;  ///< elements
  std::int64_t width;
  const float* weight;  ///< null: no norm
  float eps;
  const float* cos;  ///< [width / 2]
  const float* sin;
  float* scratch;  ///< [width + kKernelPadding]
};
/// Floats that a kernel may read and write behind the end of scratch memory.
inline constexpr std::int64_t kKernelPadding = 32;

/// Pixels of a picture, [pixels, channels] with rows `stride` elements apart.
struct PixelRange {
  const void* x;
  std::int64_t pixels;
  std::int64_t stride;
  std::int64_t channels;
};

/// Formulas are those of Ops; a table [a][b] is indexed by the elements of input and output.
struct Kernels {
  using Map = void (*)(const void* x, void* out, std::int64_t count);
  using Affine = void (*)(const void* x, const float* factor, const float* offset, void* out,
                          std::int64_t count);

  /// out = x
  Map convert[kElements][kElements];
  /// out = silu(x)
  Map silu[kElements][kElements];
  /// out = factor * x + offset
  Affine affine[kElements][kElements];
  /// out = silu(factor * x + offset)
  Affine affine_silu[kElements][kElements];
  /// out = silu(gate) * up
  void (*swiglu[kElements][kElements])(const void* gate, const void* up, void* out,
                                       std::int64_t count);
  /// x += gate * y;  gate null: x += y
  void (*add_gated[kElements][kElements])(const void* y, const float* gate, void* x,
                                          std::int64_t count);
  void (*adaln[kElements][kElements])(const AdalnRow& row);
  void (*rms_norm[kElements][kElements])(const RmsNormRow& row);
  void (*rms_norm_rope_pairs[kElements])(const RopeToken& token);
  void (*rms_norm_rope_halves[kElements])(const RopeToken& token);
  /// sums[c] = sum over pixels of x[., c]
  void (*channel_sums[kElements])(const PixelRange& range, float* sums);
  /// sums[c] = sum over pixels of (x[., c] - center[c])^2
  void (*channel_squares[kElements])(const PixelRange& range, const float* center, float* sums);
};

const Kernels& kernels_avx2();
const Kernels& kernels_avx512();

}  // namespace flux2
