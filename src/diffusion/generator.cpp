#include "diffusion/generator.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>
#include <string>
#include <vector>

#include "diffusion/box_muller.h"
#include "flux2/error.h"

// Source: ATen/native/cpu/DistributionTemplates.h and ATen/core/DistributionsHelper.h of PyTorch.

namespace flux2 {
namespace {

// The value of the lowest `bits` bits of `word` as a fraction of their range.
float low_bits_fraction(std::uint32_t word, int bits) {
  const std::uint32_t range = 1u << bits;
  return static_cast<float>(word & (range - 1u)) * (1.0f / static_cast<float>(range));
}

template <typename T>
std::span<T> elements_of(const Tensor& tensor) {
  return {tensor.data<T>(), static_cast<std::size_t>(tensor.elements())};
}

float draw_uniform(Generator& generator, float /*type*/) {
  return generator.uniform();
}
double draw_uniform(Generator& generator, double /*type*/) {
  return generator.uniform_double();
}

// Float and double: all uniforms first, then block by block. A tail shorter than a block is
// covered by drawing the last 16 elements anew, over results of the block before.
template <typename Real>
void fill_normal(Generator& generator, std::span<Real> out) {
  const auto draw = [&](std::span<Real> part) {
    for (Real& value : part)
      value = draw_uniform(generator, Real{});
  };
  draw(out);
  for (std::size_t i = 0; i + kNormalBlock <= out.size(); i += kNormalBlock)
    box_muller(out.data() + i);
  if (out.size() % kNormalBlock != 0) {
    const std::span<Real> tail = out.last(kNormalBlock);
    draw(tail);
    box_muller(tail.data());
  }
}

// bfloat16 and half: each block is drawn when it is needed, so a tail takes the words right after
// the last whole block and not those after a full pass.
void fill_normal_by_blocks(Generator& generator, const Tensor& out) {
  const std::size_t size = static_cast<std::size_t>(out.elements());
  const auto write_block = [&](std::size_t first) {
    float block[kNormalBlock];
    for (float& value : block)
      value = generator.uniform();
    box_muller(block);
    convert_from_float(block, out.dtype(), out.bytes() + first * size_of(out.dtype()),
                       kNormalBlock);
  };
  for (std::size_t i = 0; i + kNormalBlock <= size; i += kNormalBlock)
    write_block(i);
  if (size % kNormalBlock != 0) write_block(size - kNormalBlock);
}

// The arithmetic of torch's 16-bit scalar types: float operations, each rounded to the type.
struct SmallFloat {
  float (*round)(float);
  int uniform_bits;  // of the significand
};

float round_to_half(float value) {
  return half_to_float(float_to_half(value));
}

SmallFloat small_float(DType dtype) {
  return dtype == DType::bf16 ? SmallFloat{.round = round_to_bf16, .uniform_bits = 8}
                              : SmallFloat{.round = round_to_half, .uniform_bits = 11};
}

void legacy_box_muller(const SmallFloat& type, float* block) {
  const auto round = type.round;
  for (int j = 0; j < kNormalBlock / 2; ++j) {
    const float u1 = round(1.0f - block[j]);
    const float u2 = block[j + 8];
    const float radius = round(std::sqrt(round(-2.0f * round(std::log(u1)))));
    const float theta = round(static_cast<float>(2.0 * std::numbers::pi * static_cast<double>(u2)));
    block[j] = round(radius * round(std::cos(theta))) + 0.0f;
    block[j + 8] = round(radius * round(std::sin(theta))) + 0.0f;
  }
}

void fill_normal_legacy(Generator& generator, const Tensor& out) {
  const SmallFloat type = small_float(out.dtype());
  std::vector<float> values(static_cast<std::size_t>(out.elements()));
  const auto draw = [&](std::span<float> part) {
    for (float& value : part)
      value = low_bits_fraction(generator.random(), type.uniform_bits);
  };
  draw(values);
  for (std::size_t i = 0; i + kNormalBlock <= values.size(); i += kNormalBlock)
    legacy_box_muller(type, values.data() + i);
  if (values.size() % kNormalBlock != 0) {
    const std::span<float> tail = std::span<float>(values).last(kNormalBlock);
    draw(tail);
    legacy_box_muller(type, tail.data());
  }
  convert_from_float(values.data(), out.dtype(), out.bytes(), values.size());
}

void fill_normal_one_by_one(Generator& generator, const Tensor& out) {
  if (out.dtype() == DType::f64) {
    std::ranges::generate(elements_of<double>(out), [&] { return generator.normal(); });
    return;
  }
  float values[kNormalBlock];
  const auto size = static_cast<std::size_t>(out.elements());
  std::generate_n(values, size, [&] { return static_cast<float>(generator.normal()); });
  convert_from_float(values, out.dtype(), out.bytes(), size);
}

}  // namespace

std::uint64_t Generator::random64() {
  const std::uint64_t high = random();
  return (high << 32) | random();
}

float Generator::uniform() {
  return low_bits_fraction(random(), 24);
}

double Generator::uniform_double() {
  constexpr std::uint64_t kRange = std::uint64_t{1} << 53;
  return static_cast<double>(random64() & (kRange - 1)) * (1.0 / static_cast<double>(kRange));
}

double Generator::normal() {
  if (spare_normal_) {
    const double value = *spare_normal_;
    spare_normal_.reset();
    return value;
  }
  const double u1 = uniform_double();
  const double u2 = uniform_double();
  const double radius = std::sqrt(-2.0 * std::log1p(-u2));
  const double theta = 2.0 * std::numbers::pi * u1;
  spare_normal_ = radius * std::sin(theta);
  return radius * std::cos(theta);
}

Tensor rand(Generator& generator, const Shape& shape) {
  Tensor out = make_host_tensor(shape);
  std::ranges::generate(elements_of<float>(out), [&] { return generator.uniform(); });
  return out;
}

Tensor randn(Generator& generator, const Shape& shape, DType dtype, HalfNormals half_normals) {
  const bool half = dtype == DType::bf16 || dtype == DType::f16;
  if (!half && dtype != DType::f32 && dtype != DType::f64) {
    throw Error(ErrorCode::internal,
                "normal numbers of type " + std::string(name_of(dtype)) + " cannot be drawn");
  }
  Tensor out = make_host_tensor(shape, dtype);
  if (shape.elements() < kNormalBlock) {
    fill_normal_one_by_one(generator, out);
  } else if (half && half_normals == HalfNormals::legacy) {
    fill_normal_legacy(generator, out);
  } else if (half) {
    fill_normal_by_blocks(generator, out);
  } else if (dtype == DType::f32) {
    fill_normal(generator, elements_of<float>(out));
  } else {
    fill_normal(generator, elements_of<double>(out));
  }
  return out;
}

}  // namespace flux2
