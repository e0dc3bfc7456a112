#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "backends/reference/reference_ops.h"
#include "conformance/suites.h"

// Linear layers in 8-bit integers on every instruction set: within the rounding of weights and
// inputs of the reference, and exact where the numbers are integers already.
namespace flux2::conformance {
namespace {

struct LinearShape {
  std::int64_t batch, tokens, in, out;
};

// One row and many, a panel and parts of it, inputs that fill no group, no vector, no block.
constexpr LinearShape kShapes[] = {{1, 1, 1, 1},      {1, 1, 3, 5},      {1, 1, 3072, 257},
                                   {2, 5, 10, 10},    {1, 7, 33, 65},    {3, 17, 40, 48},
                                   {1, 77, 128, 96},  {2, 31, 515, 129}, {1, 200, 66, 63},
                                   {1, 3, 12288, 19}, {1, 13, 4100, 64}, {2, 193, 20, 17}};

std::string name_of_shape(const LinearShape& s) {
  return fmt::format("[{}, {}, {}] x {}", s.batch, s.tokens, s.in, s.out);
}

struct LinearNumbers {
  Values x, weight, bias, gate, residual;
};

// Whole numbers up to 127, that one in each row: their scale is 1 and nothing is rounded.
Values integers(const Shape& shape, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<int> number(-127, 127);
  Values values{shape, {}};
  values.numbers.resize(static_cast<std::size_t>(shape.elements()));
  const auto width = static_cast<std::size_t>(shape[-1]);
  for (float& value : values.numbers)
    value = static_cast<float>(number(random));
  for (std::size_t i = 0; i < values.numbers.size(); i += width)
    values.numbers[i + random() % width] = 127.0f;
  return values;
}

// Factors that keep whole numbers below 2^24.
Values small_integers(const Shape& shape, unsigned seed) {
  Values values = integers(shape, seed);
  for (float& value : values.numbers)
    value = std::fabs(value) < 64 ? std::copysign(1.0f, value) : std::copysign(2.0f, value);
  return values;
}

LinearNumbers random_numbers(const LinearShape& s, unsigned seed) {
  return {.x = random_values({s.batch, s.tokens, s.in}, seed),
          .weight = random_values({s.out, s.in}, seed + 4, {.deviation = 0.1}),
          .bias = random_values({s.out}, seed + 1),
          .gate = random_values({s.batch, s.out}, seed + 2),
          .residual = random_values({s.batch, s.tokens, s.out}, seed + 3, {.deviation = 10})};
}

LinearNumbers whole_numbers(const LinearShape& s, unsigned seed) {
  return {.x = integers({s.batch, s.tokens, s.in}, seed),
          .weight = integers({s.out, s.in}, seed + 1),
          .bias = integers({s.out}, seed + 2),
          .gate = small_integers({s.batch, s.out}, seed + 3),
          .residual = integers({s.batch, s.tokens, s.out}, seed + 4)};
}

Weight prepare(Ops& ops, const Values& weight, const Values& bias) {
  const StoredTensor rows = stored(weight, DType::f32);
  const std::int64_t split = weight.shape[0] / 3;  // blocks of unequal size, or one
  std::vector<StoredTensor> blocks = {rows};
  if (split > 0) blocks = {rows_of(rows, 0, split), rows_of(rows, split, weight.shape[0] - split)};
  return ops.prepare_linear(blocks, make_host_tensor(bias.shape, bias.numbers),
                            Sensitivity::tolerant);
}

std::vector<Int8Row> rows_of_values(const Values& values, DType dtype) {
  const Values rounded = rounded_to(values, dtype);
  const auto width = static_cast<std::size_t>(values.shape[-1]);
  std::vector<Int8Row> rows(values.numbers.size() / width);
  for (std::size_t i = 0; i < values.numbers.size(); ++i) {
    const double number = std::fabs(static_cast<double>(rounded.numbers[i]));
    Int8Row& row = rows[i / width];
    row.largest = std::max(row.largest, number);
    row.length = std::hypot(row.length, number);
  }
  return rows;
}

enum class Update { store, add, add_gated };
enum class Numbers { random, whole };

// One shape in one way on a judge's backend.
class Int8Linear {
 public:
  Int8Linear(Judge& judge, const LinearShape& shape, Numbers kind, unsigned seed)
      : judge_(judge),
        shape_(shape),
        kind_(kind),
        numbers_(kind == Numbers::random ? random_numbers(shape, seed)
                                         : whole_numbers(shape, seed)),
        judged_(prepare(judge.ops(), numbers_.weight, numbers_.bias)),
        reference_(prepare(judge.reference(), numbers_.weight, numbers_.bias)),
        x_(rows_of_values(numbers_.x, DType::f32)),
        w_(rows_of_values(numbers_.weight, DType::f32)) {}

  void check(Update update) {
    const Case test = {
        .name = fmt::format("int8 linear {} {} {}", static_cast<int>(update),
                            kind_ == Numbers::whole ? "whole" : "random", name_of_shape(shape_)),
        .run = [this, update](Stage& stage, const Variant& v) { return run(stage, v, update); },
        .error = [this, update](
                     const Precision&,
                     const std::vector<float>& expected) { return errors(update, expected); }};
    if (update == Update::store) {
      judge_.check(test);
    } else {
      judge_.check(test, updating_variants());
    }
  }

 private:
  Canvas run(Stage& stage, const Variant& variant, Update update) {
    const Weight& weight = &stage.ops() == &judge_.ops() ? judged_ : reference_;
    const Tensor x = stage.input(numbers_.x, variant.inputs);
    if (update == Update::store) {
      Canvas out = stage.output({shape_.batch, shape_.tokens, shape_.out}, variant.output);
      stage.ops().linear(x, weight, out.view());
      return out;
    }
    const Tensor gate =
        update == Update::add_gated ? stage.input(numbers_.gate, Role::stream) : Tensor();
    Canvas residual = stage.in_place(numbers_.residual, Role::stream);
    stage.ops().linear_add_gated(x, weight, gate, residual.view());
    return residual;
  }

  std::vector<double> errors(Update update, const std::vector<float>& expected) const {
    std::vector<double> errors(expected.size(), 0.0);
    if (kind_ == Numbers::whole) return errors;
    const auto out = static_cast<std::size_t>(shape_.out);
    const auto tokens = static_cast<std::size_t>(shape_.tokens);
    for (std::size_t i = 0; i < errors.size(); ++i) {
      const bool adds = update != Update::store;
      const double before = adds ? static_cast<double>(numbers_.residual.numbers[i]) : 0.0;
      const double added = static_cast<double>(expected[i]) - before;
      const double gate =
          update == Update::add_gated
              ? static_cast<double>(numbers_.gate.numbers[i / out / tokens * out + i % out])
              : 1.0;
      const double bias = static_cast<double>(numbers_.bias.numbers[i % out]);
      const double product =
          int8_matmul_error(rounded_row(i / out), w_[i % out], shape_.in, added / gate, bias);
      errors[i] = std::fabs(gate) * product + (adds ? sum_error(before, added) : 0.0);
    }
    return errors;
  }

  // Inputs of the operand's type may be a little larger than what they were made from.
  Int8Row rounded_row(std::size_t i) const {
    constexpr double kGrowth = 1.0 + 0x1p-8;
    return {x_[i].largest * kGrowth, x_[i].length * kGrowth};
  }

  Judge& judge_;
  LinearShape shape_;
  Numbers kind_;
  LinearNumbers numbers_;
  Weight judged_;
  Weight reference_;
  std::vector<Int8Row> x_, w_;
};

class Int8Conformance : public testing::TestWithParam<Backend> {
 protected:
  void SetUp() override {
    const std::string reason = reason_to_skip(GetParam());
    if (!reason.empty()) GTEST_SKIP() << GetParam().name << ": " << reason;
  }

  static void check_all(Numbers kind) {
    Judge judge(GetParam());
    unsigned seed = 7000;
    for (const LinearShape& shape : kShapes) {
      Int8Linear linear(judge, shape, kind, seed += 10);
      for (const Update update : {Update::store, Update::add, Update::add_gated})
        linear.check(update);
    }
    EXPECT_GT(judge.checks(), 0);
    EXPECT_EQ(judge.failures(), 0) << "of " << judge.checks() << " checks:\n" << judge.report();
    RecordProperty("worst_ratio", std::to_string(judge.worst_ratio()));
  }

  static std::vector<float> product(Ops& ops, const Values& x, const Values& weight) {
    const StoredTensor rows = stored(weight, DType::f32);
    const Weight prepared = ops.prepare_linear({&rows, 1}, {}, Sensitivity::tolerant);
    const Tensor host = make_host_tensor(x.shape, x.numbers);
    return to_vector(
        ops.download(ops.linear(ops.upload(host, Role::stream), prepared, Role::stream)));
  }
};

TEST_P(Int8Conformance, RandomNumbersAreWithinTheirRounding) {
  check_all(Numbers::random);
}

TEST_P(Int8Conformance, WholeNumbersAreExact) {
  check_all(Numbers::whole);
}

// A row has its own scale: what is beside it has no say.
TEST_P(Int8Conformance, RowsOfZerosAndOfNonNumbersStayAlone) {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  Values x = integers({6, 70}, 1);
  const Values weight = integers({67, 70}, 2);
  const auto row = [&x](std::size_t i) { return x.numbers.data() + i * 70; };
  std::fill_n(row(0), 70, 0.0f);
  row(1)[69] = kNaN;
  row(2)[3] = -kInfinity;
  std::fill_n(row(3), 70, 1e-42f);
  const auto ops = GetParam().make();
  const std::vector<float> y = product(*ops, x, weight);
  const std::vector<float> expected = product(*make_reference_ops(), x, weight);
  for (std::size_t i = 0; i < y.size(); ++i) {
    const std::size_t token = i / 67;
    if (token == 0 || token == 3) {
      EXPECT_EQ(y[i], 0.0f);
    } else if (token < 3) {
      EXPECT_TRUE(std::isnan(y[i])) << y[i];
    } else {
      EXPECT_EQ(y[i], expected[i]) << i;
    }
  }
}

// The largest sums there are: 32-bit integers must hold them whatever the kernel adds to inputs.
TEST_P(Int8Conformance, LargestSumsFit) {
  constexpr std::int64_t kInputs = 65536;
  const auto all = [](std::int64_t rows, float number) {
    return Values{{rows, kInputs},
                  std::vector<float>(static_cast<std::size_t>(rows * kInputs), number)};
  };
  const auto ops = GetParam().make();
  for (const float sign : {1.0f, -1.0f}) {
    for (const float y : product(*ops, all(2, 127.0f), all(3, sign * 127.0f)))
      EXPECT_NEAR(y, sign * 127.0f * 127.0f * static_cast<float>(kInputs), 256.0f);
  }
}

double relative_error(const std::vector<float>& y, const std::vector<float>& expected) {
  double error = 0, size = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    error += std::pow(static_cast<double>(y[i]) - static_cast<double>(expected[i]), 2);
    size += std::pow(static_cast<double>(expected[i]), 2);
  }
  return std::sqrt(error / size);
}

// A few inputs of weights that are far larger than the others would take all of their integers:
// such layers are rotated. 64 numbers share the outlier then, so its step is smaller by up to 8.
TEST_P(Int8Conformance, OutliersAreSpreadOut) {
  const Values x = random_values({9, 320}, 11);
  Values weight = random_values({40, 320}, 12, {.deviation = 0.02});
  const double plain = relative_error(product(*GetParam().make(), x, weight),
                                      product(*make_reference_ops(), x, weight));
  EXPECT_LT(plain, 0.015);
  for (std::size_t o = 0; o < 40; ++o)
    weight.numbers[o * 320 + 17] = o % 2 == 0 ? 2.0f : -2.0f;
  // Inputs that do not see the outliers show what they do to the others.
  Values blind = x;
  for (std::size_t token = 0; token < 9; ++token)
    blind.numbers[token * 320 + 17] = 0.0f;
  const double rotated = relative_error(product(*GetParam().make(), blind, weight),
                                        product(*make_reference_ops(), blind, weight));
  EXPECT_LT(rotated, 0.08);  // without the rotation: 0.24
}

// What the declaration calls sensitive is never quantised.
TEST_P(Int8Conformance, SensitiveLayersAreNot) {
  const Values x = random_values({5, 64}, 21), weight = random_values({8, 64}, 22);
  const auto ops = GetParam().make();
  const StoredTensor rows = stored(weight, DType::bf16);
  const Values rounded = values_of(rows);
  const Weight prepared = ops->prepare_linear({&rows, 1}, {}, Sensitivity::sensitive);
  const Tensor host = make_host_tensor(x.shape, rounded_to(x, DType::bf16).numbers);
  const std::vector<float> y = to_vector(
      ops->download(ops->linear(ops->upload(host, Role::stream), prepared, Role::stream)));
  const std::vector<float> expected =
      product(*make_reference_ops(), rounded_to(x, DType::bf16), rounded);
  EXPECT_LT(relative_error(y, expected), 1e-6);
}

INSTANTIATE_TEST_SUITE_P(EveryInstructionSet, Int8Conformance, testing::ValuesIn(int8_backends()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace flux2::conformance
