// The product of two thin matrices against plain sums in double, in floats and, where the processor
// has them, in tiles of bfloat16.
#include "adapters/low_rank.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "base/tile_registers.h"
#include "tensor/dtype.h"

namespace flux2::test {
namespace {

enum class Numbers { floats, bf16 };

std::vector<float> random_numbers(std::int64_t count, Numbers kind, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values)
    value = kind == Numbers::bf16 ? round_to_bf16(normal(random)) : normal(random);
  return values;
}

// A sum of `rank` products in float is off by no more than so much of the sum of their magnitudes.
double tolerance(std::int64_t rank) {
  return static_cast<double>(rank + 2) * std::ldexp(1.0, -24);
}

void expect_sums(std::int64_t rows, std::int64_t rank, std::int64_t columns, Numbers kind) {
  constexpr float kScale = 0.75F;
  const std::vector<float> up = random_numbers(rows * rank, kind, 1);
  const std::vector<float> down = random_numbers(rank * columns, kind, 2);
  const std::vector<float> before = random_numbers(rows * columns, kind, 3);
  std::vector<float> after = before;
  add_low_rank(up.data(), rows, {down, rank, columns}, kScale, after.data());
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      const auto at = static_cast<std::size_t>(i * columns + j);
      double sum = before[at], size = std::abs(sum);
      for (std::int64_t k = 0; k < rank; ++k) {
        const double product = static_cast<double>(kScale) *
                               up[static_cast<std::size_t>(i * rank + k)] *
                               down[static_cast<std::size_t>(k * columns + j)];
        sum += product;
        size += std::abs(product);
      }
      ASSERT_NEAR(after[at], sum, size * tolerance(rank)) << i << ", " << j;
    }
  }
}

TEST(LowRank, SumsOfEverySize) {
  for (const Numbers kind : {Numbers::floats, Numbers::bf16}) {
    for (const std::int64_t rank : {1, 2, 3, 16, 31, 32, 33, 176}) {
      SCOPED_TRACE(testing::Message() << "rank " << rank << ", " << static_cast<int>(kind));
      expect_sums(1, rank, 1, kind);
      expect_sums(16, rank, 64, kind);
      expect_sums(37, rank, 130, kind);
    }
  }
}

TEST(LowRank, TilesAreUsedWhereAllNumbersAreTheirs) {
  const std::vector<float> exact = random_numbers(3 * 40, Numbers::bf16, 1);
  const std::vector<float> inexact = random_numbers(3 * 40, Numbers::floats, 1);
  EXPECT_EQ(LowRankPanels(inexact, 3, 40).pairs(), 0);
  EXPECT_EQ(LowRankPanels(exact, 3, 40).pairs(), may_use_tiles() ? 16 : 0);
  // A factor of each kind: in floats.
  std::vector<float> sum(40), expected(40);
  add_low_rank(inexact.data(), 1, {exact, 3, 40}, 1, sum.data());
  for (std::size_t j = 0; j < sum.size(); ++j) {
    for (std::size_t k = 0; k < 3; ++k)
      expected[j] = std::fma(inexact[k], exact[k * 40 + j], expected[j]);
  }
  EXPECT_EQ(sum, expected);
}

}  // namespace
}  // namespace flux2::test
