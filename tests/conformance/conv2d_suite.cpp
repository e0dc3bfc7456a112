#include <fmt/format.h>

#include <cmath>
#include <vector>

#include "conformance/suites.h"

namespace flux2::conformance {
namespace {

struct ConvCase {
  std::int64_t batch, height, width, in, out, kernel;
  ConvGeometry geometry = {};
  DType dtype = DType::bf16;
  bool bias = true;
  bool large = false;
};

constexpr ConvGeometry kNoPad = {
    .stride = 1, .pad_top = 0, .pad_left = 0, .pad_bottom = 0, .pad_right = 0};
/// The encoder's downsampling: one row and column of zeros behind.
constexpr ConvGeometry kDownsample = {
    .stride = 2, .pad_top = 0, .pad_left = 0, .pad_bottom = 1, .pad_right = 1};
/// The vision tower's patches.
constexpr ConvGeometry kPatches = {
    .stride = 14, .pad_top = 0, .pad_left = 0, .pad_bottom = 0, .pad_right = 0};
constexpr ConvGeometry kLopsided = {
    .stride = 1, .pad_top = 2, .pad_left = 0, .pad_bottom = 0, .pad_right = 1};

const ConvCase kCases[] = {
    {1, 1, 1, 1, 1, 3, {}, DType::f32},
    {1, 5, 7, 3, 8, 3, {}, DType::f32},
    {2, 8, 8, 16, 3, 3, {}, DType::bf16},
    {1, 9, 6, 5, 7, 3, {}, DType::f16, false},
    {2, 6, 10, 32, 48, 3, {}, DType::bf16},
    {3, 4, 3, 20, 33, 1, kNoPad, DType::bf16},
    {1, 16, 16, 64, 32, 1, kNoPad, DType::f32, false},
    {2, 8, 10, 16, 16, 3, kDownsample, DType::bf16},
    {1, 9, 7, 3, 16, 3, kDownsample, DType::f8_e4m3},
    {1, 28, 42, 3, 24, 14, kPatches, DType::bf16, false},
    {1, 6, 5, 8, 8, 3, kLopsided, DType::bf16},
    {1, 8, 8, 256, 40, 3, {}, DType::bf16},
    {1, 64, 48, 32, 32, 3, {}, DType::bf16, true, true},
    {1, 24, 24, 512, 16, 3, {}, DType::bf16, true, true},
};

struct Numbers {
  Values x, bias, residual;
  StoredTensor kernel;
  Shape out;
};

std::int64_t result_size(std::int64_t size, std::int64_t pads, std::int64_t kernel,
                         std::int64_t stride) {
  return (size + pads - kernel) / stride + 1;
}

Numbers numbers_for(const ConvCase& c, unsigned seed) {
  const ConvGeometry& g = c.geometry;
  const Shape out = {c.batch, result_size(c.height, g.pad_top + g.pad_bottom, c.kernel, g.stride),
                     result_size(c.width, g.pad_left + g.pad_right, c.kernel, g.stride), c.out};
  return {
      .x = random_values({c.batch, c.height, c.width, c.in}, seed),
      .bias = random_values({c.out}, seed + 1),
      .residual = random_values(out, seed + 2, {.deviation = 5}),
      .kernel = stored(
          random_values({c.out, c.in, c.kernel, c.kernel}, seed + 3, {.deviation = 0.1}), c.dtype),
      .out = out};
}

Weight prepare(Ops& ops, const StoredTensor& kernel, const Values* bias) {
  const Tensor host = bias != nullptr ? make_host_tensor(bias->shape, bias->numbers) : Tensor();
  return ops.prepare_conv2d(kernel, host);
}

std::vector<double> spread_of(Ops& reference, const ConvCase& c, const Numbers& n) {
  const Weight squares =
      prepare(reference, stored(squared(values_of(n.kernel)), DType::f32), nullptr);
  const Values x = squared(n.x);
  const Tensor sums = reference.empty(n.out, Role::stream);
  reference.conv2d(make_host_tensor(x.shape, x.numbers), squares, c.geometry, sums);
  std::vector<double> spread;
  for (const float sum : to_vector(sums))
    spread.push_back(std::sqrt(static_cast<double>(sum)));
  return spread;
}

enum class Target { output, residual };

void judge_case(Judge& judge, const ConvCase& c, const Numbers& n, Target target) {
  const bool adds = target == Target::residual;
  const Values* bias = c.bias ? &n.bias : nullptr;
  const Weight judged = prepare(judge.ops(), n.kernel, bias);
  const Weight reference = prepare(judge.reference(), n.kernel, bias);
  const std::vector<double> spread = spread_of(judge.reference(), c, n);
  const Case test = {
      .name = fmt::format("conv2d{} [{}, {}, {}, {}] to {}, {}x{} stride {}, {}{}",
                          adds ? "_add" : "", c.batch, c.height, c.width, c.in, c.out, c.kernel,
                          c.kernel, c.geometry.stride, name_of(c.dtype), c.bias ? " + bias" : ""),
      .run =
          [&](Stage& stage, const Variant& variant) {
            const Weight& weight = &stage.ops() == &judge.ops() ? judged : reference;
            const Tensor x = stage.dense_input(n.x, variant.inputs);
            Canvas out = adds ? stage.dense_in_place(n.residual, Role::stream)
                              : stage.dense_output(n.out, variant.output);
            if (adds) {
              stage.ops().conv2d_add(x, weight, c.geometry, out.view());
            } else {
              stage.ops().conv2d(x, weight, c.geometry, out.view());
            }
            return out;
          },
      .error =
          [&](const Precision& p, const std::vector<float>& expected) {
            std::vector<double> errors(expected.size());
            for (std::size_t i = 0; i < errors.size(); ++i) {
              const auto constant =
                  c.bias ? static_cast<double>(n.bias.numbers[i % n.bias.numbers.size()]) : 0.0;
              errors[i] = matmul_error(p, c.in * c.kernel * c.kernel, spread[i], constant);
              if (!adds) continue;
              const double before = static_cast<double>(n.residual.numbers[i]);
              errors[i] += sum_error(before, static_cast<double>(expected[i]) - before);
            }
            return errors;
          },
      .weights = c.dtype};
  std::vector<Variant> variants = dense_variants();
  if (adds) std::erase_if(variants, [](const Variant& v) { return v.output == Role::operand; });
  if (c.large) variants = {{Placement::dense, Role::operand, Role::stream, 2}};
  judge.check(test, variants);
}

void judge_cases(Judge& judge, unsigned seed, Target target) {
  for (const ConvCase& c : kCases) {
    seed += 10;
    if (c.large && !judge.wants_large_cases()) continue;
    judge_case(judge, c, numbers_for(c, seed), target);
  }
}

}  // namespace

void judge_conv2d(Judge& judge) {
  judge_cases(judge, 3000, Target::output);
}
void judge_conv2d_add(Judge& judge) {
  judge_cases(judge, 4000, Target::residual);
}

}  // namespace flux2::conformance
