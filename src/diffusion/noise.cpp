#include "diffusion/noise.h"

#include <string>

#include "diffusion/generator.h"
#include "diffusion/philox.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

void check(const NoiseSource& source, std::span<const std::uint64_t> seeds, const Shape& shape) {
  const bool drawable =
      source.dtype == DType::f32 || source.dtype == DType::bf16 || source.dtype == DType::f16;
  if (!drawable) {
    throw Error(ErrorCode::invalid_request,
                "noise cannot be drawn in " + std::string(name_of(source.dtype)), "noise",
                "choose F32, BF16 or F16");
  }
  const std::int64_t batch = shape.rank() > 0 ? shape[0] : 0;
  if (seeds.size() == 1 || static_cast<std::int64_t>(seeds.size()) == batch) return;
  throw Error(ErrorCode::invalid_request,
              std::to_string(seeds.size()) + " seeds for " + std::to_string(batch) + " pictures",
              "seed", "give one seed, or one for each picture");
}

Tensor draw(const NoiseSource& source, std::uint64_t seed, const Shape& shape) {
  if (source.kind == NoiseKind::torch_cuda)
    return PhiloxGenerator(seed, source.card_threads).randn(shape, source.dtype);
  Generator generator(seed);
  const bool legacy = source.kind == NoiseKind::torch_cpu_legacy;
  return randn(generator, shape, source.dtype, legacy ? HalfNormals::legacy : HalfNormals::rounded);
}

}  // namespace

Tensor initial_noise(const NoiseSource& source, std::span<const std::uint64_t> seeds,
                     const Shape& shape) {
  check(source, seeds, shape);
  Shape part = shape;
  if (seeds.size() > 1) part.set(0, 1);
  Tensor noise = make_host_tensor(shape);
  float* out = noise.f32();
  for (const std::uint64_t seed : seeds) {
    const Tensor drawn = draw(source, seed, part);
    const auto size = static_cast<std::size_t>(drawn.elements());
    convert_to_float(drawn.dtype(), drawn.bytes(), out, size);
    out += size;
  }
  return noise;
}

}  // namespace flux2
