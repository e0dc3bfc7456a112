#include <cassert>
#include <vector>

#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/rows.h"

namespace flux2 {

void CpuOps::adaln(const Tensor& x, const Tensor& scale, const Tensor& shift, float eps,
                   const Tensor& out) {
  assert(x.rank() == 3 && x.shape() == out.shape() && scale.shape() == shift.shape());
  const Tensor scales = parameter(scale), shifts = parameter(shift);
  const auto kernel = pick(kernels_.adaln, x, out);
  const Rows source(x), target(out);
  const std::int64_t tokens = x.dim(1), width = x.dim(2);
  for_rows(source, [&](std::int64_t row) {
    const std::int64_t modulation = row / tokens * width;
    kernel({.x = source[row],
            .scale = scales.f32() + modulation,
            .shift = shifts.f32() + modulation,
            .out = target[row],
            .width = width,
            .eps = eps});
  });
}

void CpuOps::rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& out) {
  assert(x.shape() == out.shape() && weight.elements() == x.dim(-1));
  const Tensor weights = parameter(weight);
  const auto kernel = pick(kernels_.rms_norm, x, out);
  const Rows source(x), target(out);
  for_rows(source, [&](std::int64_t row) {
    kernel({.x = source[row],
            .weight = weights.f32(),
            .out = target[row],
            .width = source.width(),
            .eps = eps});
  });
}

void CpuOps::rms_norm_rope(const Tensor& x, const Tensor& weight, float eps, const RopeTable& rope,
                           RopeLayout layout) {
  const std::int64_t tokens = x.dim(1), heads = x.dim(2), width = x.dim(3);
  assert(x.rank() == 4 && width % 2 == 0 && rope.cos.dim(-1) == width / 2);
  assert(rope.cos.dim(-2) == tokens && (rope.cos.rank() == 2 || rope.cos.dim(0) == x.dim(0)));
  const Tensor weights = parameter(weight);
  const Tensor cosines = parameter(rope.cos), sines = parameter(rope.sin);
  const bool pairs = layout == RopeLayout::pairs;
  const auto kernel = pick(pairs ? kernels_.rms_norm_rope_pairs : kernels_.rms_norm_rope_halves, x);
  const std::int64_t element = static_cast<std::int64_t>(size_of(x.dtype()));
  // Scratch for one head a token in flight; each range of tokens takes its own.
  parallel_for(x.dim(0) * tokens, grain_for(heads * width),
               [&](std::int64_t begin, std::int64_t end) {
                 std::vector<float> scratch(static_cast<std::size_t>(width + kKernelPadding));
                 for (std::int64_t i = begin; i < end; ++i) {
                   const std::int64_t sample = i / tokens, token = i % tokens;
                   const std::int64_t angles = (rope.cos.rank() == 3 ? i : token) * (width / 2);
                   const std::int64_t offset = sample * x.stride(0) + token * x.stride(1);
                   kernel({.x = x.bytes() + offset * element,
                           .heads = heads,
                           .head_stride = x.stride(2),
                           .width = width,
                           .weight = weights.defined() ? weights.f32() : nullptr,
                           .eps = eps,
                           .cos = cosines.f32() + angles,
                           .sin = sines.f32() + angles,
                           .scratch = scratch.data()});
                 }
               });
}

}  // namespace flux2
