#include <fmt/format.h>

#include <cmath>

#include "conformance/suites.h"

namespace flux2::conformance {
namespace {

double at(const Values& values, std::size_t i) {
  return static_cast<double>(values.numbers[i]);
}

struct RowCase {
  std::int64_t batch, tokens, width;
  Distribution distribution = {};
  float eps = 1e-6f;
};

// Means far from zero show statistics that cancel; tiny rows show where eps is added.
const RowCase kRows[] = {
    {1, 1, 8},
    {1, 1, 1},
    {2, 3, 10},
    {3, 5, 40, {.mean = 3}},
    {1, 77, 48, {}, 1e-5f},
    {2, 17, 129, {.mean = -100}},
    {1, 40, 768, {.deviation = 1e-3}, 1e-5f},
    {1, 9, 3072, {.mean = 20, .deviation = 0.5}},
    {1, 512, 64, {.deviation = 300}},
};

struct RowStatistics {
  double mean = 0, absolute_mean = 0, inverse_deviation = 0, inverse_rms = 0;
};

RowStatistics statistics_of(const Values& x, std::size_t row, std::int64_t width, float eps) {
  const auto count = static_cast<std::size_t>(width);
  double sum = 0, absolute_sum = 0, squares = 0;
  for (std::size_t j = 0; j < count; ++j) {
    const double value = at(x, row * count + j);
    sum += value;
    absolute_sum += std::fabs(value);
    squares += value * value;
  }
  const auto n = static_cast<double>(width);
  const double mean = sum / n, mean_square = squares / n;
  const double variance = std::max(0.0, mean_square - mean * mean);
  return {mean, absolute_sum / n, 1.0 / std::sqrt(variance + static_cast<double>(eps)),
          1.0 / std::sqrt(mean_square + static_cast<double>(eps))};
}

std::vector<RowStatistics> all_statistics(const Values& x, std::int64_t width, float eps) {
  std::vector<RowStatistics> result;
  for (std::size_t row = 0; row < x.numbers.size() / static_cast<std::size_t>(width); ++row)
    result.push_back(statistics_of(x, row, width, eps));
  return result;
}

void judge_adaln_case(Judge& judge, const RowCase& c, unsigned seed) {
  const Values x = random_values({c.batch, c.tokens, c.width}, seed, c.distribution);
  const Values scale = random_values({c.batch, c.width}, seed + 1);
  const Values shift = random_values({c.batch, c.width}, seed + 2);
  const std::vector<RowStatistics> statistics = all_statistics(x, c.width, c.eps);
  const auto width = static_cast<std::size_t>(c.width), tokens = static_cast<std::size_t>(c.tokens);
  judge.check(
      {.name = fmt::format("adaln {} mean {}", x.shape.to_string(), c.distribution.mean),
       .run =
           [&](Stage& stage, const Variant& variant) {
             Canvas out = stage.output(x.shape, variant.output);
             stage.ops().adaln(stage.input(x, variant.inputs), stage.input(scale, Role::stream),
                               stage.input(shift, Role::stream), c.eps, out.view());
             return out;
           },
       .error =
           [&](const Precision&, const std::vector<float>& expected) {
             std::vector<double> errors(expected.size());
             for (std::size_t i = 0; i < errors.size(); ++i) {
               const RowStatistics& s = statistics[i / width];
               const std::size_t m = i / (width * tokens) * width + i % width;
               const double normal = (std::fabs(at(x, i)) + s.absolute_mean) * s.inverse_deviation;
               const double magnitude =
                   std::fabs(1.0 + at(scale, m)) * normal + std::fabs(at(shift, m));
               errors[i] = norm_error(c.width, magnitude);
             }
             return errors;
           }});
}

void judge_rms_norm_case(Judge& judge, const RowCase& c, unsigned seed) {
  const Values x = random_values({c.batch, c.tokens, c.width}, seed, c.distribution);
  const Values weight = random_values({c.width}, seed + 1);
  judge.check({.name = "rms_norm " + x.shape.to_string(),
               .run =
                   [&](Stage& stage, const Variant& variant) {
                     Canvas out = stage.output(x.shape, variant.output);
                     stage.ops().rms_norm(stage.input(x, variant.inputs),
                                          stage.dense_input(weight, Role::stream), c.eps,
                                          out.view());
                     return out;
                   },
               .error =
                   [&](const Precision&, const std::vector<float>& expected) {
                     std::vector<double> errors(expected.size());
                     for (std::size_t i = 0; i < errors.size(); ++i)
                       errors[i] = norm_error(c.width, std::fabs(static_cast<double>(expected[i])));
                     return errors;
                   }});
}

struct RopeCase {
  std::int64_t batch, tokens, heads, width;
  RopeLayout layout;
  bool weight = true;
  bool per_sample = false;  ///< tables [B, L, d/2]
};

const RopeCase kRopes[] = {
    {1, 1, 1, 8, RopeLayout::pairs},
    {1, 1, 2, 2, RopeLayout::halves},
    {2, 3, 3, 10, RopeLayout::pairs},
    {2, 3, 3, 10, RopeLayout::halves, true, true},
    {1, 17, 2, 16, RopeLayout::pairs, false},
    {1, 17, 2, 40, RopeLayout::halves, false},
    {3, 11, 4, 32, RopeLayout::halves, true, true},
    {1, 77, 4, 64, RopeLayout::pairs},
    {2, 31, 3, 128, RopeLayout::pairs},
    {1, 130, 2, 128, RopeLayout::halves},
    {2, 5, 1, 512, RopeLayout::halves, false, true},
};

Values rope_angles(const RopeCase& c, unsigned seed) {
  Shape shape = {c.tokens, c.width / 2};
  if (c.per_sample) shape = {c.batch, c.tokens, c.width / 2};
  return random_values(shape, seed, {.deviation = 3});
}

Values of_each(Values values, float (*function)(float)) {
  for (float& number : values.numbers)
    number = function(number);
  return values;
}

// |a cos| + |b sin| of the couple that element i belongs to, after normalising.
double rope_magnitude(const RopeCase& c, const Values& x, const Values& weight, const Values& cos,
                      const Values& sin, std::size_t i) {
  const auto width = static_cast<std::size_t>(c.width), half = width / 2;
  const std::size_t row = i / width, j = i % width;
  const bool halves = c.layout == RopeLayout::halves;
  const std::size_t other = halves ? (j + half) % width : j ^ 1u;
  const std::size_t couple = halves ? j % half : j / 2;
  const double factor = c.weight ? statistics_of(x, row, c.width, 1e-6f).inverse_rms : 1.0;
  const auto normal = [&](std::size_t k) {
    return std::fabs((c.weight ? at(weight, k) : 1.0) * at(x, row * width + k) * factor);
  };
  const std::size_t token = row / static_cast<std::size_t>(c.heads);
  const std::size_t angle =
      (c.per_sample ? token : token % static_cast<std::size_t>(c.tokens)) * half + couple;
  return normal(j) * std::fabs(at(cos, angle)) + normal(other) * std::fabs(at(sin, angle));
}

void judge_rope_case(Judge& judge, const RopeCase& c, unsigned seed) {
  const Values x = random_values({c.batch, c.tokens, c.heads, c.width}, seed);
  const Values weight = random_values({c.width}, seed + 1);
  const Values angles = rope_angles(c, seed + 2);
  const Values cos = of_each(angles, std::cos), sin = of_each(angles, std::sin);
  judge.check(
      {.name = fmt::format("rms_norm_rope {} {}{}{}", x.shape.to_string(),
                           c.layout == RopeLayout::halves ? "halves" : "pairs",
                           c.weight ? ", weight" : "", c.per_sample ? ", table per sample" : ""),
       .run =
           [&](Stage& stage, const Variant& variant) {
             const Tensor gain = c.weight ? stage.dense_input(weight, Role::stream) : Tensor();
             const RopeTable table{stage.dense_input(cos, Role::stream),
                                   stage.dense_input(sin, Role::stream)};
             Canvas heads = stage.in_place(x, variant.output);
             stage.ops().rms_norm_rope(heads.view(), gain, 1e-6f, table, c.layout);
             return heads;
           },
       .error =
           [&](const Precision&, const std::vector<float>& expected) {
             std::vector<double> errors(expected.size());
             for (std::size_t i = 0; i < errors.size(); ++i)
               errors[i] = norm_error(c.width, rope_magnitude(c, x, weight, cos, sin, i));
             return errors;
           }});
}

enum class Where { apart, in_place };

struct GroupCase {
  std::int64_t batch, height, width, channels, groups;
  Activation activation;
  Distribution distribution = {};
  Where where = Where::apart;
};

const GroupCase kGroups[] = {
    {1, 1, 1, 8, 1, Activation::none},
    {1, 3, 5, 10, 5, Activation::silu},
    {2, 4, 4, 32, 32, Activation::none},
    {3, 7, 3, 48, 16, Activation::silu, {.mean = 50}},
    {1, 16, 16, 64, 32, Activation::silu, {.mean = -5, .deviation = 3}},
    {2, 8, 6, 40, 2, Activation::gelu},
    {1, 33, 17, 96, 3, Activation::silu, {.deviation = 1e-3}},
    {1, 64, 64, 128, 32, Activation::silu, {.mean = 10}},
    {2, 7, 3, 48, 16, Activation::silu, {.mean = 3}, Where::in_place},
    {1, 8, 6, 40, 2, Activation::gelu, {}, Where::in_place},
};

// Mean of |x| and 1 / deviation of every [sample, group].
std::vector<RowStatistics> group_statistics(const GroupCase& c, const Values& x, float eps) {
  const std::int64_t pixels = c.height * c.width, group = c.channels / c.groups;
  Values gathered{{c.batch * c.groups, pixels * group}, {}};
  for (std::int64_t part = 0; part < c.batch * c.groups; ++part) {
    for (std::int64_t i = 0; i < pixels * group; ++i) {
      const std::int64_t pixel = part / c.groups * pixels + i / group;
      const std::int64_t channel = part % c.groups * group + i % group;
      gathered.numbers.push_back(x.numbers[static_cast<std::size_t>(pixel * c.channels + channel)]);
    }
  }
  std::vector<RowStatistics> result;
  for (std::int64_t part = 0; part < c.batch * c.groups; ++part)
    result.push_back(statistics_of(gathered, static_cast<std::size_t>(part), pixels * group, eps));
  return result;
}

void judge_group_case(Judge& judge, const GroupCase& c, unsigned seed) {
  const Values x = random_values({c.batch, c.height, c.width, c.channels}, seed, c.distribution);
  const Values weight = random_values({c.channels}, seed + 1);
  const Values bias = random_values({c.channels}, seed + 2);
  const std::vector<RowStatistics> statistics = group_statistics(c, x, 1e-6f);
  const auto error_at = [&](std::size_t i) {
    const auto channels = static_cast<std::size_t>(c.channels);
    const std::size_t channel = i % channels;
    const std::size_t sample = i / channels / static_cast<std::size_t>(c.height * c.width);
    const auto groups = static_cast<std::size_t>(c.groups);
    const RowStatistics& s = statistics[sample * groups + channel / (channels / groups)];
    const double normal = (std::fabs(at(x, i)) + s.absolute_mean) * s.inverse_deviation;
    const double magnitude = std::fabs(at(weight, channel)) * normal + std::fabs(at(bias, channel));
    // The activation adds its own error, which the handful over such a magnitude covers.
    return kSteepest * norm_error(c.height * c.width * c.channels / c.groups, magnitude) +
           silu_error(magnitude, magnitude);
  };
  const Case test = {
      .name = fmt::format("group_norm {} groups {} activation {}{}", x.shape.to_string(), c.groups,
                          static_cast<int>(c.activation),
                          c.where == Where::in_place ? " in place" : ""),
      .run =
          [&](Stage& stage, const Variant& variant) {
            const GroupNorm norm = {.weight = stage.dense_input(weight, Role::stream),
                                    .bias = stage.dense_input(bias, Role::stream),
                                    .groups = c.groups,
                                    .eps = 1e-6f};
            if (c.where == Where::in_place) {
              Canvas canvas = stage.dense_in_place(x, variant.output);
              stage.ops().group_norm(canvas.view(), norm, c.activation, canvas.view());
              return canvas;
            }
            Canvas out = stage.dense_output(x.shape, variant.output);
            stage.ops().group_norm(stage.dense_input(x, variant.inputs), norm, c.activation,
                                   out.view());
            return out;
          },
      .error =
          [&](const Precision&, const std::vector<float>& expected) {
            std::vector<double> errors(expected.size());
            for (std::size_t i = 0; i < errors.size(); ++i)
              errors[i] = error_at(i);
            return errors;
          }};
  judge.check(test, dense_variants());
}

}  // namespace

void judge_adaln(Judge& judge) {
  unsigned seed = 5000;
  for (const RowCase& c : kRows)
    judge_adaln_case(judge, c, seed += 10);
}

void judge_rms_norm(Judge& judge) {
  unsigned seed = 6000;
  for (const RowCase& c : kRows)
    judge_rms_norm_case(judge, c, seed += 10);
}

void judge_rms_norm_rope(Judge& judge) {
  unsigned seed = 7000;
  for (const RopeCase& c : kRopes)
    judge_rope_case(judge, c, seed += 10);
}

void judge_group_norm(Judge& judge) {
  unsigned seed = 8000;
  for (const GroupCase& c : kGroups)
    judge_group_case(judge, c, seed += 10);
}

}  // namespace flux2::conformance
