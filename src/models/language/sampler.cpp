#include "models/language/sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "flux2/error.h"

namespace flux2 {
namespace {

std::int32_t highest(std::span<const float> scores) {
  return static_cast<std::int32_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

// The `k`-th highest score, or the lowest if there are fewer.
float threshold(std::span<const float> scores, std::int64_t k) {
  if (k == 0 || static_cast<std::size_t>(k) >= scores.size())
    return -std::numeric_limits<float>::infinity();
  std::vector<float> sorted(scores.begin(), scores.end());
  const auto kth = sorted.begin() + (k - 1);
  std::nth_element(sorted.begin(), kth, sorted.end(), std::greater<>());
  return *kth;
}

}  // namespace

Sampler::Sampler(const Sampling& sampling) : sampling_(sampling), generator_(sampling.seed) {
  if (!(sampling.temperature >= 0) || !std::isfinite(sampling.temperature)) {
    throw Error(ErrorCode::invalid_request,
                "temperature " + std::to_string(sampling.temperature) + " is not 0 or more",
                "caption_upsample_temperature");
  }
  if (sampling.top_k < 0) {
    throw Error(ErrorCode::invalid_request,
                "top_k " + std::to_string(sampling.top_k) + " is not 0 or more");
  }
}

// 53 random bits in [0, 1); std::uniform_real_distribution differs between standard libraries.
double Sampler::uniform() {
  return static_cast<double>(generator_() >> 11) * 0x1p-53;
}

std::int32_t Sampler::pick(std::span<const float> scores) {
  if (std::any_of(scores.begin(), scores.end(), [](float score) { return std::isnan(score); }))
    throw Error(ErrorCode::internal, "a score of the next token is not a number", "text encoder");
  const std::int32_t best = highest(scores);
  if (sampling_.temperature == 0) return best;

  const float least = threshold(scores, sampling_.top_k);
  const double top = scores[static_cast<std::size_t>(best)];
  std::vector<double> cumulative;
  std::vector<std::int32_t> tokens;
  double total = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (scores[i] < least) continue;
    total += std::exp((scores[i] - top) / sampling_.temperature);
    cumulative.push_back(total);
    tokens.push_back(static_cast<std::int32_t>(i));
  }
  const auto drawn = std::upper_bound(cumulative.begin(), cumulative.end(), uniform() * total);
  const auto index =
      std::min(drawn - cumulative.begin(), static_cast<std::ptrdiff_t>(tokens.size()) - 1);
  return tokens[static_cast<std::size_t>(index)];
}

}  // namespace flux2
