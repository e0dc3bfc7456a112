// Previews: what they cost, how large they are, and that they show what comes out.
#include "pipeline/preview.h"

#include <gtest/gtest.h>

#include <cmath>

#include "flux2/flux2.h"
#include "pipeline/flop_count.h"

namespace flux2 {
namespace {

constexpr double kTera = 1e12;

TransformerConfig klein_4b() {
  TransformerConfig config;
  config.double_blocks = 5;
  config.single_blocks = 20;
  config.heads = 24;
  config.text_dim = 7680;
  config.mlp_hidden = 9216;
  return config;
}

// Counted independently when the project's speed was planned: see docs/performance.md.
TEST(FlopCount, Klein4B) {
  EXPECT_NEAR(transformer_flop(klein_4b(), 512, 256) / kTera, 4.9, 0.05);
  EXPECT_NEAR(transformer_flop(klein_4b(), 512, 1024) / kTera, 10.2, 0.1);
  EXPECT_NEAR(transformer_flop(klein_4b(), 512, 4096) / kTera, 35, 0.3);
  EXPECT_NEAR(decoder_flop({}, 32, 32) / kTera, 0.62, 0.01);
  EXPECT_NEAR(decoder_flop({}, 64, 64) / kTera, 2.5, 0.05);
}

TEST(PreviewSize, TakesWhatTheBudgetAllows) {
  for (const TokenGrid grid : {TokenGrid{16, 16}, TokenGrid{64, 64}, TokenGrid{48, 85}}) {
    const double budget = kPreviewShare * transformer_flop(klein_4b(), 512, grid.tokens());
    const PreviewSize size = preview_size({}, grid, budget);
    EXPECT_LE(decoder_flop({}, size.rows, size.columns), budget);
    EXPECT_GT(decoder_flop({}, size.rows + 1, size.columns + 1), budget);
    EXPECT_NEAR(static_cast<double>(size.columns) / static_cast<double>(size.rows),
                static_cast<double>(grid.columns) / static_cast<double>(grid.rows), 0.1);
    EXPECT_GE(size.rows, 10);  // 80 pixels
  }
}

TEST(PreviewSize, NeverLargerThanThePictureNorEmpty) {
  const PreviewSize whole = preview_size({}, {3, 5}, 1e18);
  EXPECT_EQ(whole.rows, 6);
  EXPECT_EQ(whole.columns, 10);
  const PreviewSize least = preview_size({}, {3, 5}, 0);
  EXPECT_EQ(least.rows, 1);
  EXPECT_EQ(least.columns, 1);
}

std::vector<double> mean_colour(const Image& image) {
  std::vector<double> sums(3);
  for (std::size_t i = 0; i < image.pixels.size(); ++i)
    sums[i % 3] += image.pixels[i];
  for (double& sum : sums)
    sum /= static_cast<double>(image.width) * image.height;
  return sums;
}

TEST(Preview, ComesCloserToThePicture) {
  const Pipeline nano =
      Pipeline::load(std::string(FLUX2_SOURCE_DIR) + "/models/nano", {.threads = 1});
  Request r;
  r.prompt = {"a red circle on a white background", "a blue star on a black background"};
  r.width = 96;
  r.height = 64;
  r.num_inference_steps = 4;
  r.seeds = {1};
  std::vector<Preview> previews;
  RunOptions options;
  options.preview = [&](const Preview& preview) { previews.push_back(preview); };
  const Result result = nano.generate(r, options);
  ASSERT_EQ(previews.size(), 4u);
  for (std::size_t i = 0; i < previews.size(); ++i) {
    EXPECT_EQ(previews[i].step, static_cast<int>(i));
    ASSERT_EQ(previews[i].images.size(), 2u);
    EXPECT_GE(previews[i].images[0].width, previews[i].images[0].height);
    EXPECT_LE(previews[i].images[0].width, 96);
  }
  // The last estimate is the picture, decoded from fewer latents.
  for (std::size_t b = 0; b < 2; ++b) {
    const std::vector<double> shown = mean_colour(previews.back().images[b]);
    const std::vector<double> drawn = mean_colour(result.images[b]);
    for (std::size_t c = 0; c < 3; ++c)
      EXPECT_NEAR(shown[c], drawn[c], 40) << "picture " << b << " channel " << c;
  }
  EXPECT_EQ(nano.generate(r).images[0].pixels, result.images[0].pixels);  // changes nothing
}

}  // namespace
}  // namespace flux2
