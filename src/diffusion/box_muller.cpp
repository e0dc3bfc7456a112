#include "diffusion/box_muller.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <numbers>

// torch takes these two functions from avx_mathfun.h, the AVX2 form of Cephes' logf and sincosf.
// Its compiler fuses some of the products and sums; a fused operation is written std::fma below,
// and everything else rounds twice. The build forbids the compiler to fuse on its own.

namespace flux2 {
namespace {

struct SinCos {
  float sin;
  float cos;
};

// ln x for x in (0, 1]: x = m 2^e with m in [sqrt(1/2), sqrt(2)), ln x = ln m + e ln 2.
float cephes_log(float x) {
  constexpr float kCoefficients[] = {-1.1514610310E-1f, 1.1676998740E-1f,  -1.2420140846E-1f,
                                     1.4249322787E-1f,  -1.6668057665E-1f, 2.0000714765E-1f,
                                     -2.4999993993E-1f, 3.3333331174E-1f};
  constexpr float kSqrtHalf = 0.707106781186547524f;
  constexpr float kLn2High = 0.693359375f;
  constexpr float kLn2Low = -2.12194440e-4f;

  const auto bits = std::bit_cast<std::uint32_t>(x);
  const float m = std::bit_cast<float>((bits & 0x007FFFFFu) | 0x3F000000u);
  float e = static_cast<float>(static_cast<int>(bits >> 23) - 126);
  if (m < kSqrtHalf) {
    e -= 1.0f;
    x = (m - 1.0f) + m;
  } else {
    x = m - 1.0f;
  }

  const float z = x * x;
  float y = 7.0376836292E-2f;
  for (const float c : kCoefficients)
    y = std::fma(y, x, c);
  y = std::fma(y * x, z, e * kLn2Low);
  y = std::fma(-z, 0.5f, y);
  return std::fma(e, kLn2High, x + y);
}

// sin x and cos x for x >= 0, reduced to [-pi/4, pi/4] by an even number of octants.
SinCos cephes_sincos(float x) {
  const int octant = (static_cast<int>(x * 1.27323954473516f) + 1) & ~1;
  const auto y = static_cast<float>(octant);
  x = std::fma(y, -0.78515625f, x);
  x = std::fma(y, -2.4187564849853515625e-4f, x);
  x = std::fma(y, -3.77489497744594108e-8f, x);
  const float z = x * x;

  float p = 2.443315711809948E-005f;
  p = std::fma(p, z, -1.388731625493765E-003f);
  p = std::fma(p, z, 4.166664568298827E-002f);
  p = std::fma(p * z, z, -(z * 0.5f)) + 1.0f;

  float q = -1.9515295891E-4f;
  q = std::fma(q, z, 8.3321608736E-3f);
  q = std::fma(q, z, -1.6666654611E-1f);
  q = std::fma(q * z, x, x);

  const bool swap = (octant & 2) != 0;
  const float sine = swap ? p : q;
  const float cosine = swap ? q : p;
  return {.sin = (octant & 4) != 0 ? -sine : sine,
          .cos = (~(octant - 2) & 4) != 0 ? -cosine : cosine};
}

}  // namespace

// The last "+ 0" is torch's "* std + mean": it makes a negative zero positive.
void box_muller(float* block) {
  constexpr auto kTwoPi = static_cast<float>(2.0 * std::numbers::pi);
  for (int j = 0; j < kNormalBlock / 2; ++j) {
    const float radius = std::sqrt(-2.0f * cephes_log(1.0f - block[j]));
    const SinCos direction = cephes_sincos(kTwoPi * block[j + 8]);
    block[j] = radius * direction.cos + 0.0f;
    block[j + 8] = radius * direction.sin + 0.0f;
  }
}

void box_muller(double* block) {
  for (int j = 0; j < kNormalBlock / 2; ++j) {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - block[j]));
    const double theta = 2.0 * std::numbers::pi * block[j + 8];
    block[j] = radius * std::cos(theta) + 0.0;
    block[j + 8] = radius * std::sin(theta) + 0.0;
  }
}

}  // namespace flux2
