// Choosing the next token.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "flux2/error.h"
#include "models/language/sampler.h"

namespace flux2 {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(Sampler, ZeroTemperatureTakesTheFirstOfTheHighest) {
  Sampler sampler(Sampling{});
  EXPECT_EQ(sampler.pick(std::array{1.0f, 3.0f, 3.0f, -kInfinity}), 1);
}

TEST(Sampler, DrawsInProportionToTheSoftmax) {
  const std::array scores = {0.0f, 1.0f, 2.0f};
  Sampler sampler({.temperature = 2.0, .top_k = 0, .seed = 7});
  constexpr int kDraws = 60000;
  std::array<int, 3> counts{};
  for (int i = 0; i < kDraws; ++i)
    ++counts[static_cast<std::size_t>(sampler.pick(scores))];

  const double total = 1 + std::exp(0.5) + std::exp(1.0);
  for (std::size_t i = 0; i < 3; ++i) {
    const double p = std::exp(0.5 * static_cast<double>(i)) / total;
    const double five_sigma = 5 * std::sqrt(p * (1 - p) / kDraws);
    EXPECT_NEAR(counts[i] / static_cast<double>(kDraws), p, five_sigma) << i;
  }
}

TEST(Sampler, TopKKeepsTheHighestAndTheirTies) {
  const std::array scores = {5.0f, 1.0f, 4.0f, 4.0f, 3.0f};
  Sampler sampler({.temperature = 100.0, .top_k = 2, .seed = 1});
  std::array<int, 5> counts{};
  for (int i = 0; i < 1000; ++i)
    ++counts[static_cast<std::size_t>(sampler.pick(scores))];
  EXPECT_GT(counts[0], 200);
  EXPECT_GT(counts[2], 200);
  EXPECT_GT(counts[3], 200);
  EXPECT_EQ(counts[1] + counts[4], 0);
}

TEST(Sampler, ATinyTemperatureIsGreedy) {
  Sampler sampler({.temperature = 1e-30, .top_k = 0, .seed = 3});
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(sampler.pick(std::array{1.0f, 1.5f, 1.25f}), 1);
}

TEST(Sampler, TheSeedDecides) {
  std::array<float, 64> scores{};
  const auto draw = [&](std::uint64_t seed) {
    Sampler sampler({.temperature = 1.0, .top_k = 50, .seed = seed});
    std::vector<std::int32_t> drawn;
    for (int i = 0; i < 20; ++i)
      drawn.push_back(sampler.pick(scores));
    return drawn;
  };
  EXPECT_EQ(draw(5), draw(5));
  EXPECT_NE(draw(5), draw(6));
}

TEST(Sampler, RefusesNonsense) {
  EXPECT_THROW(Sampler({.temperature = -1}), Error);
  EXPECT_THROW(Sampler({.temperature = std::nan("")}), Error);
  EXPECT_THROW(Sampler({.temperature = kInfinity}), Error);
  EXPECT_THROW(Sampler({.temperature = 1, .top_k = -1}), Error);
  Sampler sampler(Sampling{});
  EXPECT_THROW(sampler.pick(std::array{0.0f, std::nanf("")}), Error);
}

}  // namespace
}  // namespace flux2
