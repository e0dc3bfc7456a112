#include <fmt/format.h>

#include <cmath>

#include "conformance/suites.h"

namespace flux2::conformance {
namespace {

double at(const Values& values, std::size_t i) {
  return static_cast<double>(values.numbers[i]);
}

double silu(double x) {
  return x / (1.0 + std::exp(-x));
}

const Shape kTokenShapes[] = {{1, 1, 1},   {1, 1, 8},   {2, 3, 10},   {3, 5, 33},
                              {1, 77, 48}, {2, 9, 257}, {1, 512, 40}, {1, 4608, 16}};

// Also the ends of the range, where exponentials overflow and underflow.
Values with_extremes(Values values) {
  const float extremes[] = {0.0f, -0.0f, 90.0f, -90.0f, 1e4f, -1e4f, 1e-20f, -20.0f, 5.0f};
  for (std::size_t i = 0; i < std::size(extremes) && i < values.numbers.size() / 2; ++i)
    values.numbers[2 * i] = extremes[i];
  return values;
}

double activation_error(Activation activation, double x, double value) {
  if (activation == Activation::gelu) return gelu_error(x);
  return activation == Activation::silu ? silu_error(x, value) : 0.0;
}

enum class Where { apart, in_place };

void judge_activation(Judge& judge, const Shape& shape, Activation activation, Where where) {
  const Values x = with_extremes(random_values(shape, 9000, {.deviation = 4}));
  static const char* const kNames[] = {"none", "silu", "gelu"};
  judge.check({.name = fmt::format("activate {} {}{}", kNames[static_cast<int>(activation)],
                                   shape.to_string(), where == Where::in_place ? " in place" : ""),
               .run =
                   [&](Stage& stage, const Variant& variant) {
                     if (where == Where::in_place) {
                       Canvas canvas = stage.in_place(x, variant.output);
                       stage.ops().activate(canvas.view(), activation, canvas.view());
                       return canvas;
                     }
                     Canvas out = stage.output(shape, variant.output);
                     stage.ops().activate(stage.input(x, variant.inputs), activation, out.view());
                     return out;
                   },
               .error =
                   [&](const Precision&, const std::vector<float>& expected) {
                     std::vector<double> errors(expected.size());
                     for (std::size_t i = 0; i < errors.size(); ++i)
                       errors[i] =
                           activation_error(activation, at(x, i), static_cast<double>(expected[i]));
                     return errors;
                   }});
}

void judge_swiglu_shape(Judge& judge, const Shape& shape) {
  const auto width = static_cast<std::size_t>(shape[2]);
  const Values gate_up =
      with_extremes(random_values({shape[0], shape[1], 2 * shape[2]}, 9100, {.deviation = 3}));
  judge.check({.name = "swiglu " + shape.to_string(),
               .run =
                   [&](Stage& stage, const Variant& variant) {
                     Canvas out = stage.output(shape, variant.output);
                     stage.ops().swiglu(stage.input(gate_up, variant.inputs), out.view());
                     return out;
                   },
               .error =
                   [&](const Precision&, const std::vector<float>& expected) {
                     std::vector<double> errors(expected.size());
                     for (std::size_t i = 0; i < errors.size(); ++i) {
                       const std::size_t gate_at = i / width * 2 * width + i % width;
                       const double gate = at(gate_up, gate_at);
                       const double up = std::fabs(at(gate_up, gate_at + width));
                       errors[i] = up * silu_error(gate, silu(gate)) +
                                   kFloat * std::fabs(static_cast<double>(expected[i]));
                     }
                     return errors;
                   }});
}

void judge_add_gated_shape(Judge& judge, const Shape& shape, bool gated) {
  const Values y = random_values(shape, 9200), x = random_values(shape, 9201, {.deviation = 10});
  const Values gate = random_values({shape[0], shape[2]}, 9202);
  judge.check({.name = fmt::format("add_gated {}{}", shape.to_string(), gated ? ", gate" : ""),
               .run =
                   [&](Stage& stage, const Variant& variant) {
                     const Tensor factor = gated ? stage.input(gate, Role::stream) : Tensor();
                     Canvas sum = stage.in_place(x, variant.output);
                     stage.ops().add_gated(stage.input(y, variant.inputs), factor, sum.view());
                     return sum;
                   },
               .error =
                   [&](const Precision&, const std::vector<float>& expected) {
                     std::vector<double> errors(expected.size());
                     for (std::size_t i = 0; i < errors.size(); ++i) {
                       // Rounded to a narrow type, x may be further away than the sum says.
                       const double added =
                           std::fabs(static_cast<double>(expected[i])) + std::fabs(at(x, i));
                       errors[i] = sum_error(at(x, i), added);
                     }
                     return errors;
                   }});
}

void judge_table(Judge& judge, DType dtype, std::int64_t width, std::int64_t count) {
  const StoredTensor table = stored(random_values({37, width}, 9300), dtype);
  const Weight judged = judge.ops().prepare_embedding(table);
  const Weight reference = judge.reference().prepare_embedding(table);
  std::vector<std::int32_t> ids;
  for (std::int64_t i = 0; i < count; ++i)
    ids.push_back(static_cast<std::int32_t>(i * 11 % 37));
  judge.check({.name = fmt::format("embedding {} ids, width {}, {}", count, width, name_of(dtype)),
               .run =
                   [&](Stage& stage, const Variant& variant) {
                     const Weight& weight = &stage.ops() == &judge.ops() ? judged : reference;
                     Canvas out = stage.output({count, width}, variant.output);
                     stage.ops().embedding(ids, weight, out.view());
                     return out;
                   },
               .error = {}});
}

void judge_upsampling(Judge& judge, const Shape& shape) {
  const Values x = random_values(shape, 9400);
  judge.check({.name = "upsample_nearest " + shape.to_string(),
               .run =
                   [&](Stage& stage, const Variant& variant) {
                     Canvas out = stage.dense_output(
                         {shape[0], 2 * shape[1], 2 * shape[2], shape[3]}, variant.output);
                     stage.ops().upsample_nearest(stage.dense_input(x, variant.inputs), out.view());
                     return out;
                   },
               .error = {}});
}

void judge_copying(Judge& judge, const Shape& shape) {
  const Values x = random_values(shape, 9500);
  judge.check({.name = "copy " + shape.to_string(),
               .run =
                   [&](Stage& stage, const Variant& variant) {
                     Canvas out = stage.output(shape, variant.output);
                     stage.ops().copy(stage.input(x, variant.inputs), out.view());
                     return out;
                   },
               .error = {}});
}

}  // namespace

void judge_activate(Judge& judge) {
  for (const Shape& shape : kTokenShapes) {
    for (const auto activation : {Activation::none, Activation::silu, Activation::gelu}) {
      judge_activation(judge, shape, activation, Where::apart);
      judge_activation(judge, shape, activation, Where::in_place);
    }
  }
}

void judge_swiglu(Judge& judge) {
  for (const Shape& shape : kTokenShapes)
    judge_swiglu_shape(judge, shape);
}

void judge_add_gated(Judge& judge) {
  for (const Shape& shape : kTokenShapes) {
    judge_add_gated_shape(judge, shape, true);
    judge_add_gated_shape(judge, shape, false);
  }
}

void judge_embedding(Judge& judge) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::f8_e4m3, DType::f8_e5m2}) {
    for (const std::int64_t width : {1, 10, 48, 257}) {
      judge_table(judge, dtype, width, 1);
      judge_table(judge, dtype, width, 77);
    }
  }
}

void judge_upsample_nearest(Judge& judge) {
  for (const Shape& shape : {Shape{1, 1, 1, 1}, Shape{2, 3, 5, 10}, Shape{1, 8, 6, 33},
                             Shape{1, 16, 16, 128}, Shape{3, 1, 7, 3}})
    judge_upsampling(judge, shape);
}

void judge_copy(Judge& judge) {
  for (const Shape& shape : kTokenShapes)
    judge_copying(judge, shape);
  judge_copying(judge, {2, 7, 3, 16});
  judge_copying(judge, {1, 5});
}

}  // namespace flux2::conformance
