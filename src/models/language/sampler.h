#pragma once

#include <cstdint>
#include <random>
#include <span>

namespace flux2 {

/// How the next token is chosen from its scores.
struct Sampling {
  /// Scores are divided by it; 0: the highest score wins, and nothing is drawn.
  double temperature = 0;
  /// Only this many of the highest scores take part (more where the last of them ties); 0: all.
  std::int64_t top_k = 50;
  std::uint64_t seed = 0;
};

/// Chooses tokens, with a generator of its own: the same seed and scores give the same tokens.
class Sampler {
 public:
  /// @throws Error invalid_request: a temperature or top_k that is negative or not a number
  explicit Sampler(const Sampling& sampling);

  /// The index of the chosen score. In the order of transformers: temperature, top-k, softmax,
  /// one draw.
  /// @throws Error internal: a score that is not a number
  std::int32_t pick(std::span<const float> scores);

 private:
  double uniform();

  Sampling sampling_;
  std::mt19937_64 generator_;
};

}  // namespace flux2
