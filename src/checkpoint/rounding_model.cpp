#include "checkpoint/rounding_model.h"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace flux2 {
namespace {

using enum RoundingRule::Range;

constexpr std::int64_t kAll = -1;
constexpr std::int64_t kRow = 0;

constexpr RoundingRule integers(std::string_view encoding, std::int64_t group, int intervals,
                                RoundingRule::Range range = magnitude) {
  return {.encoding = encoding, .group = group, .intervals = intervals, .range = range};
}

// The first row whose `encoding` a type's name begins with.
constexpr RoundingRule kRules[] = {
    {.encoding = "BF16", .group = kAll, .mantissa = 7},
    {.encoding = "F16", .group = kAll, .mantissa = 10, .smallest = 0x1p-24},
    {.encoding = "F8_E4M3", .group = kAll, .mantissa = 3, .smallest = 0x1p-9},
    {.encoding = "F8_E5M2", .group = kAll, .mantissa = 2, .smallest = 0x1p-16},
    integers("I8 with a scale a row", kRow, 254),
    integers("I8", kAll, 1),  // steps of the scale itself
    integers("Q8_0", 32, 254),
    integers("Q6_K", 16, 63),
    integers("Q5_0", 32, 31),
    integers("Q5_1", 32, 31, span),
    integers("Q5_K", 32, 31, span),
    integers("Q4_0", 32, 15),
    integers("Q4_1", 32, 15, span),
    integers("Q4_K", 32, 15, span),
    integers("Q3_K", 16, 7),
    integers("Q2_K", 16, 3, span),
    integers("IQ4_NL", 32, 15),  // tables of 16 levels, denser where most numbers are
    integers("IQ4_XS", 32, 15),
    integers("bitsandbytes NF4", 64, 15),
    integers("SVDQuant int4", 64, 15),
    // Floats with a scale a block: the largest of a block is the type's largest.
    {.encoding = "bitsandbytes FP4",
     .group = 64,
     .mantissa = 1,
     .smallest = 2,
     .scale_at_most = 12},
    {.encoding = "NVFP4", .group = 16, .mantissa = 1, .smallest = 0.5, .scale_at_most = 6},
    {.encoding = "SVDQuant NVFP4", .group = 16, .mantissa = 1, .smallest = 0.5, .scale_at_most = 6},
    {.encoding = "MXFP8", .group = 32, .mantissa = 3, .smallest = 0x1p-9, .scale_at_most = 224},
};

const RoundingRule* rule_for(std::string_view encoding) {
  const auto* found =
      std::find_if(std::begin(kRules), std::end(kRules),
                   [&](const RoundingRule& rule) { return encoding.starts_with(rule.encoding); });
  return found == std::end(kRules) ? nullptr : found;
}

float largest(std::span<const float> numbers) {
  float most = 0;
  for (const float number : numbers)
    most = std::max(most, std::abs(number));
  return most;
}

// Twelve times the squared error of rounding `number` to a float of that many bits.
double float_step_squared(float number, int mantissa, double smallest) {
  int exponent = 0;
  std::frexp(number, &exponent);  // |number| in [2^(exponent - 1), 2^exponent)
  const double step = std::max(std::ldexp(1.0, exponent - 1 - mantissa), smallest);
  return number == 0 ? 0 : step * step;
}

}  // namespace

RoundingModel::RoundingModel(const StoredTensor& stored) : rule_(rule_for(encoding_of(stored))) {
  if (rule_ == nullptr || rule_->group != kAll || stored.decoder == nullptr) return;
  if (const std::optional<ScaleRange> scales = stored.decoder->scales(stored)) {
    scale_ = scales->most;
  }
}

double RoundingModel::squared_error(std::span<const float> numbers, std::int64_t width) const {
  if (rule_ == nullptr) return 0;
  std::size_t group = numbers.size();
  if (rule_->group == kRow) group = static_cast<std::size_t>(width);
  if (rule_->group > 0) group = static_cast<std::size_t>(rule_->group);
  double sum = 0;
  while (!numbers.empty()) {
    const std::size_t now = std::min(group, numbers.size());
    sum += of_group(numbers.first(now));
    numbers = numbers.subspan(now);
  }
  return sum;
}

double RoundingModel::of_group(std::span<const float> numbers) const {
  constexpr double kTwelve = 12;
  if (rule_->intervals == 0) {
    const double unit = rule_->scale_at_most > 0 ? largest(numbers) / rule_->scale_at_most : scale_;
    double squares = 0;
    for (const float number : numbers)
      squares += float_step_squared(number, rule_->mantissa, rule_->smallest * unit);
    return squares / kTwelve;
  }
  double step = scale_;
  if (rule_->group != kAll && rule_->range == magnitude) {
    step = 2.0 * largest(numbers) / rule_->intervals;
  } else if (rule_->group != kAll) {
    const auto [least, most] = std::minmax_element(numbers.begin(), numbers.end());
    step =
        (std::max(0.0, static_cast<double>(*most)) - std::min(0.0, static_cast<double>(*least))) /
        rule_->intervals;
  }
  return step * step / kTwelve * static_cast<double>(numbers.size());
}

}  // namespace flux2
