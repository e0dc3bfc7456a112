#include "diffusion/philox.h"

#include <array>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <vector>

#include <gtest/gtest.h>

#include "flux2/error.h"

namespace flux2 {
namespace {

using Words = std::array<std::uint32_t, 4>;

// Known answers of the authors' Random123 library.
TEST(Philox, KnownAnswers) {
  constexpr std::uint32_t kOnes = 0xffffffffu;
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}));
  EXPECT_EQ(philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Words{0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu}));
  EXPECT_EQ(
      philox4x32({0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}, {0xa4093822u, 0x299f31d0u}),
      (Words{0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u}));
}

// What torch.randn(3, 4, device="cuda") prints for seed 0.
TEST(Philox, EqualsAGpuOnASmallDraw) {
  const std::array expected = {-0.92466259f, -0.42534415f, -2.6438457f,  0.14518388f,
                               -0.12086647f, -0.57972564f, -0.62285122f, -0.32838709f,
                               -1.07454231f, -0.36314407f, -1.67105067f, 2.26550497f};
  const std::vector<float> drawn =
      to_vector(PhiloxGenerator(0, cuda_card_threads("h100")).randn({3, 4}, DType::f32));
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(drawn[i], expected[i], 2e-6f) << i;
}

// Element i straight from the definition, in double.
double element(std::uint64_t seed, std::int64_t i, std::int64_t threads, std::uint64_t offset) {
  const auto draw = offset / 4 + static_cast<std::uint64_t>(i / threads / 4);
  const auto lane = static_cast<std::size_t>(i / threads % 4);
  const Words words =
      philox4x32({static_cast<std::uint32_t>(draw), 0, static_cast<std::uint32_t>(i % threads), 0},
                 {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
  const double u = (words[lane & 2] + 0.5) * 0x1p-32;
  const double v = (words[(lane & 2) + 1] + 0.5) * 2.0 * std::numbers::pi * 0x1p-32;
  return std::sqrt(-2.0 * std::log(u)) * (lane % 2 == 0 ? std::sin(v) : std::cos(v));
}

void expect_elements(const Tensor& drawn, std::uint64_t seed, std::int64_t threads,
                     std::uint64_t offset) {
  const std::vector<float> values = to_vector(drawn);
  for (std::size_t i = 0; i < values.size(); ++i) {
    ASSERT_NEAR(values[i], element(seed, static_cast<std::int64_t>(i), threads, offset), 2e-5) << i;
  }
}

TEST(Philox, ThreadsWalkTheTensorInStrides) {
  constexpr std::uint64_t kSeed = 0x123456789ABCDEFu;
  PhiloxGenerator generator(kSeed, 512);
  expect_elements(generator.randn({5001}, DType::f32), kSeed, 512, 0);
  EXPECT_EQ(generator.offset(), 12u);  // 5000 / (4 * 512) + 1 = 3 draws of 4 words
  expect_elements(generator.randn({300}, DType::f32), kSeed, 512, 12);
  EXPECT_EQ(generator.offset(), 16u);
  expect_elements(generator.randn({100}, DType::f32), kSeed, 256, 16);  // one block is enough
}

TEST(Philox, APictureDependsOnTheCard) {
  const auto draw = [](std::string_view card) {
    return to_vector(PhiloxGenerator(1, cuda_card_threads(card)).randn({524288}, DType::f32));
  };
  const std::vector<float> h100 = draw("h100");
  EXPECT_EQ(h100, draw("h200"));
  const std::vector<float> a100 = draw("a100");
  const std::size_t same = static_cast<std::size_t>(cuda_card_threads("a100"));
  EXPECT_TRUE(
      std::equal(a100.begin(), a100.begin() + static_cast<std::ptrdiff_t>(same), h100.begin()));
  EXPECT_NE(a100[same], h100[same]);
}

TEST(Philox, HalvesAreRoundedFloats) {
  const std::vector<float> wide = to_vector(PhiloxGenerator(9, 2048).randn({999}, DType::f32));
  const std::vector<float> half = to_vector(PhiloxGenerator(9, 2048).randn({999}, DType::bf16));
  for (std::size_t i = 0; i < wide.size(); ++i)
    ASSERT_EQ(half[i], round_to_bf16(wide[i])) << i;
}

TEST(Philox, Cards) {
  EXPECT_EQ(cuda_card_threads("h100"), 270336);
  EXPECT_EQ(cuda_card_threads("a100"), 221184);
  EXPECT_EQ(cuda_card_threads("rtx4090"), 196608);
  EXPECT_EQ(cuda_card_threads("rtx3090"), 125952);
}

TEST(Philox, Errors) {
  try {
    cuda_card_threads("voodoo2");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_request);
    EXPECT_NE(error.message().find("voodoo2"), std::string::npos);
    EXPECT_NE(error.hint().find("rtx4090"), std::string::npos);
  }
  EXPECT_THROW(PhiloxGenerator(0, 0), Error);
  EXPECT_THROW(PhiloxGenerator(0, -256), Error);
  EXPECT_THROW(PhiloxGenerator(0, 1000), Error);
  EXPECT_THROW(PhiloxGenerator(0, 256).randn({1 << 29}, DType::f32), Error);
  EXPECT_EQ(PhiloxGenerator(0, 256).randn({0, 4}, DType::f32).elements(), 0);
}

}  // namespace
}  // namespace flux2
