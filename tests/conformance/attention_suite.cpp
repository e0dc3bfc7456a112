#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "conformance/suites.h"

namespace flux2::conformance {
namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();

/// Which bias a case has.
enum class Bias {
  none,
  shared,      ///< [1, 1, Lq, Lk], finite
  per_sample,  ///< [B, 1, Lq, Lk], half of it -infinity, some rows altogether
  full,        ///< [B, H, Lq, Lk], a quarter of it -infinity
};

struct AttentionCase {
  std::int64_t batch, queries, keys, heads, key_heads, width;
  Causality causality = Causality::full;
  std::vector<KeyRange> ranges = {};
  Bias bias = Bias::none;
  double sharpness = 1;  ///< deviation of q: large values make one key win
  bool large = false;
};

const std::vector<AttentionCase>& cases() {
  constexpr auto kCausal = Causality::causal;
  constexpr auto kFull = Causality::full;
  static const std::vector<AttentionCase> list = {
      {1, 1, 1, 1, 1, 8},
      {1, 1, 1, 2, 1, 512},
      {2, 3, 5, 2, 2, 10},
      {1, 17, 17, 3, 3, 16},
      {2, 33, 65, 4, 2, 32},
      {1, 77, 77, 4, 4, 64, kFull, {}, Bias::none, 8},
      {1, 130, 257, 3, 1, 128},
      {1, 40, 40, 1, 1, 512},
      {3, 64, 64, 2, 2, 40},
      {1, 51, 83, 6, 2, 104},
      {1, 9, 21, 3, 1, 264, kCausal},
      {1, 512, 512, 2, 2, 64, kFull, {}, Bias::none, 1, true},
      // Causal: a prompt, pieces of one behind a cache, one token, more queries than keys.
      {1, 77, 77, 4, 2, 32, kCausal},
      {2, 5, 70, 6, 2, 64, kCausal},
      {2, 1, 129, 8, 2, 128, kCausal},
      {1, 9, 4, 2, 1, 16, kCausal},
      // Key ranges: padding on either side, and none at all.
      {2, 33, 48, 4, 2, 32, kFull, {{0, 31}, {17, 48}}},
      {3, 20, 20, 2, 2, 64, kFull, {{0, 20}, {7, 7}, {19, 20}}},
      {2, 40, 40, 4, 4, 16, kCausal, {{0, 25}, {15, 40}}},
      {2, 130, 130, 2, 1, 128, kCausal, {{100, 130}, {0, 3}}},
      // Biases.
      {2, 21, 35, 3, 3, 32, kFull, {}, Bias::shared},
      {2, 64, 80, 4, 2, 64, kFull, {}, Bias::per_sample},
      {2, 19, 19, 2, 2, 10, kCausal, {{0, 19}, {4, 19}}, Bias::full},
      {1, 4608, 4608, 1, 1, 16, kFull, {}, Bias::none, 1, true},
      {1, 24, 4608, 2, 2, 128, kFull, {}, Bias::none, 4, true},
  };
  return list;
}

struct Numbers {
  Values q, k, v, bias;
};

Values bias_for(const AttentionCase& c, unsigned seed) {
  const std::int64_t batch = c.bias == Bias::shared ? 1 : c.batch;
  const std::int64_t heads = c.bias == Bias::full ? c.heads : 1;
  Values bias = random_values({batch, heads, c.queries, c.keys}, seed);
  const auto keys = static_cast<std::size_t>(c.keys);
  for (std::size_t i = 0; i < bias.numbers.size(); ++i) {
    const std::size_t row = i / keys, hash = (i * 2654435761u) >> 7;
    if (c.bias == Bias::per_sample && (hash % 2 == 0 || row % 9 == 4)) bias.numbers[i] = kMasked;
    if (c.bias == Bias::full && hash % 4 == 0) bias.numbers[i] = kMasked;
  }
  return bias;
}

Numbers numbers_for(const AttentionCase& c, unsigned seed) {
  Numbers n = {
      .q = random_values({c.batch, c.queries, c.heads, c.width}, seed, {.deviation = c.sharpness}),
      .k = random_values({c.batch, c.keys, c.key_heads, c.width}, seed + 1),
      .v = random_values({c.batch, c.keys, c.key_heads, c.width}, seed + 2, {.mean = 0.25}),
      .bias = {}};
  if (c.bias != Bias::none) n.bias = bias_for(c, seed + 3);
  return n;
}

// The largest norm of a row of `width` numbers.
double largest_norm(const Values& values, std::int64_t width) {
  double largest = 0, squares = 0;
  for (std::size_t i = 0; i < values.numbers.size(); ++i) {
    squares += std::pow(static_cast<double>(values.numbers[i]), 2);
    if ((i + 1) % static_cast<std::size_t>(width) != 0) continue;
    largest = std::max(largest, std::sqrt(squares));
    squares = 0;
  }
  return largest;
}

double largest_finite(const Values& values) {
  double largest = 0;
  for (const float number : values.numbers) {
    if (std::isfinite(number)) largest = std::max(largest, std::fabs(static_cast<double>(number)));
  }
  return largest;
}

AttentionScale scale_of(const AttentionCase& c, const Numbers& n) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(c.width));
  const double key_norm = largest_norm(n.k, c.width);
  return {.keys = c.keys,
          .width = c.width,
          .spread = scale * largest_finite(n.q) * key_norm,
          .score = scale * largest_norm(n.q, c.width) * key_norm + largest_finite(n.bias)};
}

Canvas run_attention(Stage& stage, const AttentionCase& c, const Numbers& n,
                     const Variant& variant) {
  AttentionMask mask{.causality = c.causality, .keys = c.ranges, .bias = {}};
  if (c.bias != Bias::none) mask.bias = stage.dense_input(n.bias, Role::stream);
  const Tensor q = stage.input(n.q, variant.inputs);
  const Tensor k = stage.input(n.k, variant.inputs);
  const Tensor v = stage.input(n.v, variant.inputs);
  Canvas out = stage.output(n.q.shape, variant.output);
  stage.ops().attention(q, k, v, mask, out.view());
  return out;
}

// sum_j softmax_j |v_j| of every output.
std::vector<float> averages(Ops& reference, const AttentionCase& c, const Numbers& n) {
  Numbers positive = n;
  positive.v = absolute(n.v);
  Stage stage(reference, Placement::dense, DType::f32);
  return run_attention(stage, c, positive, {}).read(reference);
}

std::string name_of_case(const AttentionCase& c) {
  static const char* const kBiases[] = {"", ", shared bias", ", bias per sample", ", full bias"};
  return fmt::format("attention {} x {} queries, {} keys, {}/{} heads of {}{}{}{}", c.batch,
                     c.queries, c.keys, c.heads, c.key_heads, c.width,
                     c.causality == Causality::causal ? ", causal" : "",
                     c.ranges.empty() ? "" : ", key ranges", kBiases[static_cast<int>(c.bias)]);
}

void judge_case(Judge& judge, const AttentionCase& c, const Numbers& n) {
  const AttentionScale scale = scale_of(c, n);
  const std::vector<float> average = averages(judge.reference(), c, n);
  const Case test = {
      .name = name_of_case(c),
      .run = [&](Stage& stage,
                 const Variant& variant) { return run_attention(stage, c, n, variant); },
      .error =
          [&](const Precision& p, const std::vector<float>& expected) {
            std::vector<double> errors(expected.size());
            for (std::size_t i = 0; i < errors.size(); ++i)
              errors[i] = attention_error(p, scale, static_cast<double>(average[i]));
            return errors;
          }};
  if (c.large) {
    judge.check(test, {{Placement::strided, Role::operand, Role::operand, 5}});
  } else {
    judge.check(test);
  }
}

}  // namespace

void judge_attention(Judge& judge) {
  unsigned seed = 2000;
  for (const AttentionCase& c : cases()) {
    seed += 10;
    if (c.large && !judge.wants_large_cases()) continue;
    judge_case(judge, c, numbers_for(c, seed));
  }
}

}  // namespace flux2::conformance
