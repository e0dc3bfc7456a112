#include <cstdint>

#include "diffusion/generator.h"
#include "flux2/error.h"
#include "flux2/noise.h"
#include "pipeline/arrays.h"

namespace flux2 {
namespace {

constexpr std::int64_t kMostNumbers = std::int64_t{1} << 31;

Shape checked(const std::vector<std::int64_t>& dims) {
  const auto refuse = [](const char* what) {
    throw Error(ErrorCode::invalid_request, what, "shape", "1 to 6 dimensions, 2^31 numbers");
  };
  if (dims.empty() || dims.size() > Shape::kMaxRank) refuse("is not one that noise can have");
  std::int64_t numbers = 1;
  for (const std::int64_t dim : dims) {
    if (dim < 1) refuse("has a dimension without elements");
    if (dim > kMostNumbers / numbers) refuse("asks for too many numbers");
    numbers *= dim;
  }
  return Shape(dims);
}

}  // namespace

class NoiseGenerator::Impl {
 public:
  Impl(std::uint64_t seed, Noise noise)
      : generator_(seed),
        normals_(noise == Noise::torch_cpu_legacy ? HalfNormals::legacy : HalfNormals::rounded) {
    if (noise != Noise::torch_cuda) return;
    throw Error(ErrorCode::invalid_request, "a CUDA generator does not go on here", "noise",
                "draw with a CPU generator, or give seeds to the request");
  }

  Tensor randn(const Shape& shape, NoiseDType dtype) {
    const DType drawn_in = dtype == NoiseDType::bf16  ? DType::bf16
                           : dtype == NoiseDType::f16 ? DType::f16
                                                      : DType::f32;
    const Tensor drawn = flux2::randn(generator_, shape, drawn_in, normals_);
    Tensor noise = make_host_tensor(shape);
    convert_to_float(drawn.dtype(), drawn.bytes(), noise.f32(),
                     static_cast<std::size_t>(drawn.elements()));
    return noise;
  }

 private:
  Generator generator_;
  HalfNormals normals_;
};

NoiseGenerator::NoiseGenerator(std::uint64_t seed, Noise noise)
    : impl_(std::make_unique<Impl>(seed, noise)) {}
NoiseGenerator::NoiseGenerator(NoiseGenerator&&) noexcept = default;
NoiseGenerator& NoiseGenerator::operator=(NoiseGenerator&&) noexcept = default;
NoiseGenerator::~NoiseGenerator() = default;

FloatArray NoiseGenerator::randn(const std::vector<std::int64_t>& shape, NoiseDType dtype) {
  return to_array(impl_->randn(checked(shape), dtype));
}

}  // namespace flux2
