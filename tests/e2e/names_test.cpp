// What pictures are called, and what progress looks like.
#include <gtest/gtest.h>

#include "flux2/error.h"
#include "output_names.h"
#include "progress.h"

namespace flux2::cli {
namespace {

using Names = std::vector<std::filesystem::path>;

TEST(OutputNames, OnePictureKeepsItsName) {
  EXPECT_EQ(output_names("cat.png", 1, {7}), Names{"cat.png"});
  EXPECT_EQ(output_names("a/100%.png", 1, {7}), Names{"a/100%.png"});
}

TEST(OutputNames, SeveralAreNumberedBeforeTheEnding) {
  EXPECT_EQ(output_names("out/cat.png", 3, {7}),
            (Names{"out/cat0.png", "out/cat1.png", "out/cat2.png"}));
  EXPECT_EQ(output_names("cat.v2.webp", 2, {7}), (Names{"cat.v2-0.webp", "cat.v2-1.webp"}));
}

TEST(OutputNames, PlacesForTheNumber) {
  EXPECT_EQ(output_names("%d-cat.png", 2, {}), (Names{"0-cat.png", "1-cat.png"}));
  EXPECT_EQ(output_names("%03d.png", 2, {}), (Names{"000.png", "001.png"}));
  EXPECT_EQ(output_names("%d.png", 1, {}), Names{"0.png"});
  EXPECT_EQ(output_names("%0d.png", 1, {}), Names{"0.png"});
  EXPECT_EQ(output_names("%s%5d%.png", 2, {}), (Names{"%s%5d%0.png", "%s%5d%1.png"}));
}

TEST(OutputNames, PlacesForTheSeed) {
  EXPECT_EQ(output_names("s{seed}.png", 2, {5, 18446744073709551615U}),
            (Names{"s5.png", "s18446744073709551615.png"}));
  EXPECT_EQ(output_names("{seed}.png", 2, {5}), (Names{"5-0.png", "5-1.png"}));
  EXPECT_EQ(output_names("{seed}_%d.png", 2, {5}), (Names{"5_0.png", "5_1.png"}));
  EXPECT_EQ(output_names("{seed}.png", 3, {5, 5, 6}), (Names{"5-0.png", "5-1.png", "6-2.png"}));
  EXPECT_THROW(output_names("{seed}.png", 1, {}), Error);
}

TEST(OutputNames, NeedAFileName) {
  EXPECT_THROW(output_names("", 1, {}), Error);
  EXPECT_THROW(output_names("folder/", 1, {}), Error);
}

TEST(ProgressText, SaysStepsAndTimeLeft) {
  EXPECT_EQ(progress_line({.stage = Stage::denoise, .done = 0, .total = 4, .seconds = 0}),
            "denoise 0/4");
  EXPECT_EQ(progress_line({.stage = Stage::denoise, .done = 3, .total = 4, .seconds = 6}),
            "denoise 3/4, 2.00 s/step, 2.00 s left");
  EXPECT_EQ(progress_line({.stage = Stage::denoise, .done = 4, .total = 4, .seconds = 4000}),
            "denoise 4/4, 16:40/step");
  EXPECT_EQ(progress_line({.stage = Stage::decode, .done = 0, .total = 2}), "decode");
}

TEST(ProgressText, BarsFitTheTerminal) {
  const Progress half = {.stage = Stage::denoise, .done = 2, .total = 4, .seconds = 4};
  EXPECT_EQ(progress_bar(half, 80),
            "denoise [############............] 2/4, 2.00 s/step, 4.00 s left");
  EXPECT_EQ(progress_bar(half, 10), "denoise [#");
  const Progress more = {.stage = Stage::load_vae, .done = 9, .total = 4};
  EXPECT_EQ(progress_bar(more, 80), "load VAE [########################] 100%");
}

}  // namespace
}  // namespace flux2::cli
