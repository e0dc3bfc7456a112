#include <fmt/format.h>

#include <cmath>

#include "conformance/suites.h"

namespace flux2::conformance {
namespace {

struct LinearCase {
  std::int64_t batch, tokens, in, out;
  DType dtype = DType::bf16;
  int blocks = 1;
  bool bias = false;
  bool large = false;
};

const LinearCase kCases[] = {
    {1, 1, 1, 1, DType::f32},
    {1, 1, 3, 5, DType::bf16, 1, true},
    {3, 1, 16, 8, DType::f16, 1, true},
    {1, 1, 3072, 257, DType::bf16},
    {2, 1, 768, 96, DType::f32, 3},
    {2, 5, 10, 10, DType::f8_e4m3, 1, true},
    {1, 7, 33, 65, DType::f8_e5m2, 5},
    {3, 17, 40, 48, DType::bf16, 3, true},
    {1, 77, 128, 96, DType::bf16, 2},
    {2, 31, 512, 40, DType::f32, 1, true},
    {1, 512, 64, 192, DType::bf16, 3, true},
    {1, 5, 1000, 3, DType::f16},
    {1, 2, 96, 200, DType::bf16},
    {2, 4, 130, 64, DType::bf16, 1, true},
    {1, 6, 70, 33, DType::bf16},
    {1, 8, 48, 385, DType::f32, 1, true},
    {1, 3, 12288, 8, DType::bf16},
    {1, 70, 1100, 600, DType::bf16, 1, true},
    {1, 4608, 24, 16, DType::bf16, 2, true, true},
};

struct Numbers {
  Values x, bias, gate, residual;
  StoredTensor weight;
};

Numbers numbers_for(const LinearCase& c, unsigned seed) {
  return {.x = random_values({c.batch, c.tokens, c.in}, seed),
          .bias = random_values({c.out}, seed + 1),
          .gate = random_values({c.batch, c.out}, seed + 2),
          .residual = random_values({c.batch, c.tokens, c.out}, seed + 3, {.deviation = 10}),
          .weight = stored(random_values({c.out, c.in}, seed + 4, {.deviation = 0.1}), c.dtype)};
}

Weight prepare(Ops& ops, const StoredTensor& weight, int blocks, const Values* bias) {
  std::vector<StoredTensor> parts;
  const std::int64_t rows = weight.shape[0];
  for (std::int64_t i = 0; i < blocks; ++i) {
    const std::int64_t begin = rows * i / blocks;
    parts.push_back(rows_of(weight, begin, rows * (i + 1) / blocks - begin));
  }
  const Tensor host = bias != nullptr ? make_host_tensor(bias->shape, bias->numbers) : Tensor();
  return ops.prepare_linear(parts, host);
}

// sqrt(sum_k (x_k w_k)^2) of every output.
std::vector<double> spread_of(Ops& reference, const Numbers& n) {
  const Weight squares =
      prepare(reference, stored(squared(values_of(n.weight)), DType::f32), 1, nullptr);
  const Values x = squared(n.x);
  const Tensor sums = reference.linear(make_host_tensor(x.shape, x.numbers), squares);
  std::vector<double> spread;
  for (const float sum : to_vector(sums))
    spread.push_back(std::sqrt(static_cast<double>(sum)));
  return spread;
}

std::string name_of_case(const LinearCase& c) {
  return fmt::format("[{}, {}, {}] x {} {} in {} blocks{}", c.batch, c.tokens, c.in, c.out,
                     name_of(c.dtype), c.blocks, c.bias ? " + bias" : "");
}

// Prepared once a backend: a case's variants share the weight.
class PreparedTwice {
 public:
  PreparedTwice(Judge& judge, const LinearCase& c, const Numbers& n)
      : judge_(judge),
        judged_(prepare(judge.ops(), n.weight, c.blocks, c.bias ? &n.bias : nullptr)),
        reference_(prepare(judge.reference(), n.weight, 1, c.bias ? &n.bias : nullptr)) {}

  const Weight& of(const Ops& ops) const { return &ops == &judge_.ops() ? judged_ : reference_; }

 private:
  Judge& judge_;
  Weight judged_;
  Weight reference_;
};

double bias_at(const LinearCase& c, const Numbers& n, std::size_t i) {
  const std::size_t width = n.bias.numbers.size();
  return c.bias ? static_cast<double>(n.bias.numbers[i % width]) : 0.0;
}

void judge_plain(Judge& judge, const LinearCase& c, const Numbers& n) {
  const PreparedTwice weight(judge, c, n);
  const std::vector<double> spread = spread_of(judge.reference(), n);
  const Case test = {.name = "linear " + name_of_case(c),
                     .run =
                         [&](Stage& stage, const Variant& variant) {
                           const Tensor x = stage.input(n.x, variant.inputs);
                           Canvas out = stage.output({c.batch, c.tokens, c.out}, variant.output);
                           stage.ops().linear(x, weight.of(stage.ops()), out.view());
                           return out;
                         },
                     .error =
                         [&](const Precision& p, const std::vector<float>& expected) {
                           std::vector<double> errors(expected.size());
                           for (std::size_t i = 0; i < errors.size(); ++i)
                             errors[i] = matmul_error(p, c.in, spread[i], bias_at(c, n, i));
                           return errors;
                         },
                     .weights = c.dtype};
  if (c.large) {
    judge.check(test, {{Placement::strided, Role::operand, Role::operand, 2}});
  } else {
    judge.check(test);
  }
}

enum class Gate { given, undefined };

void judge_gated(Judge& judge, const LinearCase& c, const Numbers& n, Gate gated) {
  const PreparedTwice weight(judge, c, n);
  const std::vector<double> spread = spread_of(judge.reference(), n);
  const auto gate_at = [&](std::size_t i) {
    const auto width = static_cast<std::size_t>(c.out);
    const std::size_t sample = i / (width * static_cast<std::size_t>(c.tokens));
    return gated == Gate::given
               ? std::fabs(static_cast<double>(n.gate.numbers[sample * width + i % width]))
               : 1.0;
  };
  const Case test = {
      .name = fmt::format("linear_add_gated {}{}", name_of_case(c),
                          gated == Gate::given ? ", gate" : ""),
      .run =
          [&](Stage& stage, const Variant& variant) {
            const Tensor x = stage.input(n.x, variant.inputs);
            const Tensor gate = gated == Gate::given ? stage.input(n.gate, Role::stream) : Tensor();
            Canvas residual = stage.in_place(n.residual, Role::stream);
            stage.ops().linear_add_gated(x, weight.of(stage.ops()), gate, residual.view());
            return residual;
          },
      .error =
          [&](const Precision& p, const std::vector<float>& expected) {
            std::vector<double> errors(expected.size());
            for (std::size_t i = 0; i < errors.size(); ++i) {
              const double before = static_cast<double>(n.residual.numbers[i]);
              const double added = static_cast<double>(expected[i]) - before;
              const double product = matmul_error(p, c.in, spread[i], bias_at(c, n, i));
              errors[i] =
                  gate_at(i) * product + sum_error(before, added) + 2.0 * kFloat * std::fabs(added);
            }
            return errors;
          },
      .weights = c.dtype};
  judge.check(test, updating_variants());
}

}  // namespace

std::vector<Variant> updating_variants() {
  std::vector<Variant> variants;
  for (const Role inputs : {Role::operand, Role::stream}) {
    for (const Placement placement : {Placement::dense, Placement::strided})
      variants.push_back({placement, inputs, Role::stream});
  }
  return with_threads(variants);
}

std::vector<Variant> dense_variants() {
  std::vector<Variant> variants;
  for (const Role inputs : {Role::operand, Role::stream}) {
    for (const Role output : {Role::operand, Role::stream})
      variants.push_back({Placement::dense, inputs, output});
  }
  return with_threads(variants);
}

void judge_linear(Judge& judge) {
  unsigned seed = 100;
  for (const LinearCase& c : kCases) {
    if (c.large && !judge.wants_large_cases()) continue;
    judge_plain(judge, c, numbers_for(c, seed += 10));
  }
}

void judge_linear_add_gated(Judge& judge) {
  unsigned seed = 1000;
  for (const LinearCase& c : kCases) {
    if (c.large) continue;
    const Numbers n = numbers_for(c, seed += 10);
    judge_gated(judge, c, n, Gate::given);
    judge_gated(judge, c, n, Gate::undefined);
  }
}

}  // namespace flux2::conformance
