// Where a painted part fades, and what a canvas grows by.
#include "images/seam.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "flux2/error.h"
#include "images/canvas.h"
#include "images/codec.h"
#include "images/vision.h"

namespace flux2 {
namespace {

Image gray(int width, int height) {
  return blank_image(width, height, PixelFormat::gray);
}

std::uint8_t& at(Image& image, int x, int y) {
  return image.pixels[static_cast<std::size_t>(y * image.width + x)];
}

TEST(Seam, RisesInsideTheMaskOnly) {
  Image mask = gray(64, 48);
  for (int y = 0; y < 48; ++y) {
    for (int x = 20; x < 64; ++x)
      at(mask, x, y) = x == 20 ? 128 : 255;  // half bright is inside
  }
  at(mask, 10, 10) = 127;  // just under half is outside
  Image seam = seam_mask(mask);
  for (int y = 0; y < 48; ++y) {
    for (int x = 0; x < 20; ++x)
      ASSERT_EQ(at(seam, x, y), 0) << x << " " << y;
    for (int x = 20; x < 20 + kSeamWidth; ++x)
      ASSERT_LT(at(seam, x, y), at(seam, x + 1, y)) << x << " " << y;
    for (int x = 20 + kSeamWidth; x < 64; ++x)
      ASSERT_EQ(at(seam, x, y), 255) << x << " " << y;
  }
  EXPECT_EQ(at(seam, 20, 7), (255 + 4) / 9);
}

TEST(Seam, CornersCountAcross) {
  Image mask = gray(9, 9);
  std::fill(mask.pixels.begin(), mask.pixels.end(), 255);
  at(mask, 0, 0) = 0;
  Image seam = seam_mask(mask);
  EXPECT_EQ(at(seam, 1, 1), (255 * 4 + 13) / 27);
  EXPECT_EQ(at(seam, 2, 1), (255 * 7 + 13) / 27);
}

TEST(Seam, ThinMasksStillShow) {
  Image mask = gray(32, 32);
  for (int y = 0; y < 32; ++y)
    at(mask, 12, y) = 255;
  Image seam = seam_mask(mask);
  EXPECT_EQ(at(seam, 12, 5), 255);
  EXPECT_EQ(at(seam, 13, 5), 0);
}

TEST(Seam, NothingKeptAndNothingPainted) {
  Image mask = gray(5, 3);
  EXPECT_EQ(seam_mask(mask).pixels, mask.pixels);
  std::fill(mask.pixels.begin(), mask.pixels.end(), 255);
  EXPECT_EQ(seam_mask(mask).pixels, mask.pixels);
}

TEST(Canvas, RepeatsTheNearestEdge) {
  Image image = blank_image(2, 1, PixelFormat::rgb);
  image.pixels = {10, 20, 30, 40, 50, 60};
  const Image canvas = extend_edges(image, {-1, -1, 4, 1});
  EXPECT_EQ(canvas.width, 5);
  EXPECT_EQ(canvas.height, 2);
  const std::vector<std::uint8_t> row = {10, 20, 30, 10, 20, 30, 40, 50,
                                         60, 40, 50, 60, 40, 50, 60};
  std::vector<std::uint8_t> expected = row;
  expected.insert(expected.end(), row.begin(), row.end());
  EXPECT_EQ(canvas.pixels, expected);
}

TEST(Canvas, MaskIsWhiteOutside) {
  const Box box = {-1, 0, 2, 2};
  EXPECT_EQ(extend_mask(nullptr, {2, 2}, box).pixels,
            (std::vector<std::uint8_t>{255, 0, 0, 255, 0, 0}));
  Image mask = gray(2, 2);
  at(mask, 1, 1) = 200;
  EXPECT_EQ(extend_mask(&mask, {2, 2}, box).pixels,
            (std::vector<std::uint8_t>{255, 0, 0, 255, 0, 200}));
}

TEST(Canvas, RefusesBoxesThatCutOrAreTooLarge) {
  const Image image = blank_image(4, 4, PixelFormat::rgb);
  for (const Box& box : {Box{1, 0, 4, 4}, Box{0, 0, 3, 4}, Box{0, 0, 100'000, 100'000},
                         Box{-2'000'000'000, 0, 2'000'000'000, 4}}) {
    EXPECT_THROW(extend_edges(image, box), Error);
    EXPECT_THROW(extend_mask(nullptr, {4, 4}, box), Error);
  }
}

TEST(Vision, SidesAreMultiplesOf28) {
  const auto size = [](int width, int height) {
    const Image seen = vision_picture(blank_image(width, height, PixelFormat::gray));
    EXPECT_EQ(seen.format, PixelFormat::rgb);
    return std::pair(seen.width, seen.height);
  };
  EXPECT_EQ(size(28, 28), std::pair(28, 28));
  EXPECT_EQ(size(29, 1), std::pair(56, 28));
  EXPECT_EQ(size(3080, 100), std::pair(1540, 56));
  EXPECT_EQ(size(20'000, 2), std::pair(1540, 28));  // the other side would vanish
}

TEST(Vision, JoinsOnWhite) {
  Image tall = blank_image(2, 5, PixelFormat::rgb);
  Image low = blank_image(3, 2, PixelFormat::gray);
  const std::vector<const Image*> pictures = {&tall, &low};
  const Image joined = join_pictures(pictures);
  ASSERT_EQ(joined.width, 5);
  ASSERT_EQ(joined.height, 5);
  const auto red = [&](int x, int y) {
    return joined.pixels[static_cast<std::size_t>(15 * y + 3 * x)];
  };
  EXPECT_EQ(red(1, 4), 0);
  EXPECT_EQ(red(2, 0), 255);
  EXPECT_EQ(red(2, 1), 0);  // (5 - 2) / 2 from the top
  EXPECT_EQ(red(4, 2), 0);
  EXPECT_EQ(red(4, 3), 255);
}

TEST(Vision, LargePicturesShrink) {
  const Image large = blank_image(1000, 1000, PixelFormat::gray);
  const std::vector<const Image*> pictures = {&large};
  const Image joined = join_pictures(pictures);
  EXPECT_EQ(joined.width, 768);
  EXPECT_EQ(joined.format, PixelFormat::gray);
}

}  // namespace
}  // namespace flux2
