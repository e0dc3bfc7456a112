#include "diffusion/latents.h"

#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "flux2/error.h"
#include "golden.h"

namespace flux2 {
namespace {

using testing::GoldenFile;

Tensor counting(const Shape& shape) {
  std::vector<float> values(static_cast<std::size_t>(shape.elements()));
  std::iota(values.begin(), values.end(), 0.0f);
  return make_host_tensor(shape, values);
}

// [B, C, h, w] -> [B, h, w, C], by the definition.
Tensor channels_last(const Tensor& x) {
  Tensor result = make_host_tensor({x.dim(0), x.dim(2), x.dim(3), x.dim(1)});
  float* out = result.f32();
  for (std::int64_t b = 0; b < x.dim(0); ++b) {
    for (std::int64_t row = 0; row < x.dim(2); ++row) {
      for (std::int64_t column = 0; column < x.dim(3); ++column) {
        for (std::int64_t c = 0; c < x.dim(1); ++c)
          *out++ = x[b][c][row].f32()[column];
      }
    }
  }
  return result;
}

LatentStatistics tiny_statistics(float eps) {
  const GoldenFile vae("checkpoints/tiny-klein/vae/diffusion_pytorch_model.safetensors");
  return {vae.floats("bn.running_mean"), vae.floats("bn.running_var"), eps};
}

// The golden square roots are off by up to 1 ulp; products, quotients and sums round once more.
constexpr float kTwoUlp = 0x1p-22f;

class Goldens : public ::testing::TestWithParam<std::string> {
 protected:
  Tensor golden(const std::string& name) const { return file_.tensor(GetParam() + "." + name); }
  // Tensors [B, L, 128]; `offset` is what was added to a channel in between.
  static void expect_close(const Tensor& actual, const Tensor& expected,
                           std::span<const float> offset) {
    ASSERT_EQ(actual.shape(), expected.shape());
    const std::vector<float> a = to_vector(actual);
    const std::vector<float> e = to_vector(expected);
    for (std::size_t i = 0; i < a.size(); ++i) {
      const float magnitude = std::abs(e[i]) + std::abs(offset[i % offset.size()]);
      ASSERT_NEAR(a[i], e[i], kTwoUlp * magnitude) << i;
    }
  }

  LatentStatistics statistics_ = tiny_statistics(1e-4f);

 private:
  GoldenFile file_{"vae/tiny-klein.safetensors"};
};

TEST_P(Goldens, EncodedLatentsBecomeNormalisedTokens) {
  const Tensor tokens = patchify_to_tokens(channels_last(golden("mode")));
  statistics_.normalise(tokens);
  const std::vector<float> nothing(128, 0.0f);
  expect_close(tokens, pack(golden("normalised")), nothing);
}

TEST_P(Goldens, TokensBecomeLatentsToDecode) {
  const Tensor z = golden("z_normalised");
  const Tensor tokens = pack(z);
  statistics_.denormalise(tokens);
  const Tensor decoded = golden("z");
  expect_close(tokens, pack(patchify(decoded)), statistics_.mean());

  const TokenGrid grid{.rows = z.dim(2), .columns = z.dim(3)};
  const Tensor latents = unpatchify_tokens(tokens, grid);
  EXPECT_EQ(latents.shape(), channels_last(decoded).shape());
  EXPECT_EQ(to_vector(latents), to_vector(channels_last(unpatchify(unpack(tokens, grid)))));
}

INSTANTIATE_TEST_SUITE_P(Pictures, Goldens, ::testing::Values("small", "wide"));

TEST(LatentStatistics, DeviationIsWithinAnUlpOfTorch) {
  const std::vector<float> golden = GoldenFile("vae/tiny-klein.safetensors").floats("bn.std");
  const LatentStatistics statistics = tiny_statistics(1e-4f);
  ASSERT_EQ(statistics.deviation().size(), golden.size());
  for (std::size_t i = 0; i < golden.size(); ++i) {
    EXPECT_LE(std::nextafter(golden[i], 0.0f), statistics.deviation()[i]);
    EXPECT_GE(std::nextafter(golden[i], 1e9f), statistics.deviation()[i]);
  }
  // eps is not lost in that: some variances are as small.
  EXPECT_GT(golden[2] / tiny_statistics(1e-6f).deviation()[2], 1.01f);
}

TEST(Latents, PatchChannelsAreChannelThenRowThenColumn) {
  const Tensor x = counting({1, 2, 2, 4});  // element c * 8 + row * 4 + column
  const std::vector<float> expected = {0, 1, 4, 5, 8,  9,  12, 13,   // left patch
                                       2, 3, 6, 7, 10, 11, 14, 15};  // right patch
  EXPECT_EQ(to_vector(pack(patchify(x))), expected);
  EXPECT_EQ(to_vector(patchify_to_tokens(channels_last(x))), expected);
}

TEST(Latents, EachMapUndoesTheOther) {
  const Tensor x = counting({2, 3, 4, 6});
  const Tensor patches = patchify(x);
  EXPECT_EQ(patches.shape(), (Shape{2, 12, 2, 3}));
  EXPECT_EQ(to_vector(unpatchify(patches)), to_vector(x));
  EXPECT_EQ(pack(patches).shape(), (Shape{2, 6, 12}));
  EXPECT_EQ(to_vector(unpack(pack(patches), {.rows = 2, .columns = 3})), to_vector(patches));

  const Tensor last = channels_last(x);
  EXPECT_EQ(patchify_to_tokens(last).shape(), (Shape{2, 6, 12}));
  const Tensor back = unpatchify_tokens(patchify_to_tokens(last), {.rows = 2, .columns = 3});
  EXPECT_EQ(back.shape(), last.shape());
  EXPECT_EQ(to_vector(back), to_vector(last));
}

TEST(Latents, ViewsAreTakenAsTheyAre) {
  const Tensor x = counting({1, 5, 4, 4});
  const Tensor part = x.slice(1, 1, 2);
  EXPECT_EQ(to_vector(pack(part)), to_vector(channels_last(part)));
  const Tensor tokens = counting({2, 9, 4}).slice(1, 2, 6);
  EXPECT_EQ(to_vector(pack(unpack(tokens, {.rows = 2, .columns = 3}))), to_vector(tokens));
}

TEST(Latents, RefusesShapesThatDoNotFit) {
  EXPECT_THROW(patchify(counting({1, 2, 3, 4})), Error);
  EXPECT_THROW(patchify(counting({2, 4, 4})), Error);
  EXPECT_THROW(unpatchify(counting({1, 6, 2, 2})), Error);
  EXPECT_THROW(patchify_to_tokens(counting({1, 2, 3, 4})), Error);
  EXPECT_THROW(unpack(counting({1, 6, 4}), {.rows = 2, .columns = 2}), Error);
  EXPECT_THROW(unpack(counting({1, 6, 4}), {.rows = -2, .columns = -3}), Error);
  EXPECT_THROW(unpatchify_tokens(counting({1, 6, 5}), {.rows = 2, .columns = 3}), Error);
  EXPECT_THROW(pack(make_host_tensor({1, 4, 2, 2}, DType::bf16)), Error);
}

TEST(LatentStatistics, RefusesBrokenStatistics) {
  const auto make = [](std::vector<float> mean, std::vector<float> variance) {
    return LatentStatistics(mean, variance, 1e-4f);
  };
  EXPECT_THROW(make({}, {}), Error);
  EXPECT_THROW(make({0.0f, 0.0f}, {1.0f}), Error);
  EXPECT_THROW(make({0.0f}, {-1.0f}), Error);
  EXPECT_THROW(make({0.0f}, {std::numeric_limits<float>::quiet_NaN()}), Error);
  EXPECT_THROW(make({std::numeric_limits<float>::infinity()}, {1.0f}), Error);
  EXPECT_THROW(make({0.0f, 1.0f}, {1.0f, 1.0f}).normalise(counting({4, 3})), Error);
  EXPECT_EQ(make({0.0f, 1.0f}, {1.0f, 1.0f}).channels(), 2);
}

}  // namespace
}  // namespace flux2
