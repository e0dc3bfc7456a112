#include <fmt/format.h>

#include <cmath>
#include <vector>

#include "conformance/suites.h"

namespace flux2::conformance {
namespace {

struct UpsampleCase {
  std::int64_t batch, height, width, in, out;
  DType dtype = DType::bf16;
  bool bias = true;
  bool large = false;
};

const UpsampleCase kCases[] = {
    {1, 1, 1, 1, 1, DType::f32},
    {1, 3, 5, 3, 8, DType::f32},
    {2, 4, 4, 16, 16},
    {1, 1, 6, 20, 33},
    {1, 5, 1, 32, 24, DType::f16, false},
    {2, 6, 10, 32, 48},
    {1, 3, 4096, 128, 1, DType::bf16, true, true},  // more than a backend works on at a time
};

struct Numbers {
  Values x, bias;
  StoredTensor kernel;
  Shape out;
};

Numbers numbers_for(const UpsampleCase& c, unsigned seed) {
  const Values kernel = random_values({c.out, c.in, 3, 3}, seed + 2, {.deviation = 0.1});
  return {.x = random_values({c.batch, c.height, c.width, c.in}, seed),
          .bias = random_values({c.out}, seed + 1),
          .kernel = stored(kernel, c.dtype),
          .out = {c.batch, 2 * c.height, 2 * c.width, c.out}};
}

Weight prepare(Ops& ops, const StoredTensor& kernel, const Values* bias) {
  const Tensor host = bias != nullptr ? make_host_tensor(bias->shape, bias->numbers) : Tensor();
  return ops.prepare_conv2d(kernel, host);
}

std::vector<double> spread_of(Ops& reference, const Numbers& n) {
  const Weight squares =
      prepare(reference, stored(squared(values_of(n.kernel)), DType::f32), nullptr);
  const Values x = squared(n.x);
  const Tensor sums = reference.empty(n.out, Role::stream);
  reference.upsample_conv2d(make_host_tensor(x.shape, x.numbers), squares, sums);
  std::vector<double> spread;
  for (const float sum : to_vector(sums))
    spread.push_back(std::sqrt(static_cast<double>(sum)));
  return spread;
}

void judge_case(Judge& judge, const UpsampleCase& c, const Numbers& n) {
  const Values* bias = c.bias ? &n.bias : nullptr;
  const Weight judged = prepare(judge.ops(), n.kernel, bias);
  const Weight reference = prepare(judge.reference(), n.kernel, bias);
  const std::vector<double> spread = spread_of(judge.reference(), n);
  std::vector<Variant> variants = dense_variants();
  if (c.large) variants = {{Placement::dense, Role::operand, Role::stream, 2}};
  judge.check(
      {.name = fmt::format("upsample_conv2d [{}, {}, {}, {}] to {}, {}{}", c.batch, c.height,
                           c.width, c.in, c.out, name_of(c.dtype), c.bias ? " + bias" : ""),
       .run =
           [&](Stage& stage, const Variant& variant) {
             const Weight& weight = &stage.ops() == &judge.ops() ? judged : reference;
             const Tensor x = stage.dense_input(n.x, variant.inputs);
             Canvas out = stage.dense_output(n.out, variant.output);
             stage.ops().upsample_conv2d(x, weight, out.view());
             return out;
           },
       .error =
           [&](const Precision& p, const std::vector<float>& expected) {
             // Weights that meet in one pixel may be added first and rounded as products
             // are: up to four, so that their spread is at most doubled.
             Precision summed = p;
             summed.weights += 2 * p.products;
             std::vector<double> errors(expected.size());
             for (std::size_t i = 0; i < errors.size(); ++i) {
               const auto constant =
                   c.bias ? static_cast<double>(n.bias.numbers[i % n.bias.numbers.size()]) : 0.0;
               errors[i] = matmul_error(summed, c.in * 9, spread[i], constant);
             }
             return errors;
           },
       .weights = c.dtype},
      variants);
}

}  // namespace

void judge_upsample_conv2d(Judge& judge) {
  unsigned seed = 4500;
  for (const UpsampleCase& c : kCases) {
    seed += 10;
    if (c.large && !judge.wants_large_cases()) continue;
    judge_case(judge, c, numbers_for(c, seed));
  }
}

}  // namespace flux2::conformance
