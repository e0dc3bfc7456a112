#include "images/resample.h"

#include <cmath>

#include "images/convert.h"
#include "support.h"

namespace flux2 {
namespace {

using namespace test;

Filter filter_of(const std::string& name) {
  if (name == "nearest") return Filter::nearest;
  return name == "bicubic" ? Filter::bicubic : Filter::lanczos;
}

// 280 sizes, boxes, formats and filters; the hashes are Pillow's.
TEST(Resample, EqualsPillow) {
  const Json cases = read_json(kData / "resize.json");
  ASSERT_EQ(cases.size(), 280U);
  for (const Json& row : cases) {
    SCOPED_TRACE(row.dump());
    const Image image =
        noise_image(format_of_mode(row["mode"]), row["from"][0], row["from"][1], row["seed"]);
    const Json& box = row["box"];
    const Image result = resize(image, {row["to"][0], row["to"][1]}, filter_of(row["filter"]),
                                {box[0], box[1], box[2], box[3]});
    EXPECT_EQ(result.format, image.format);
    EXPECT_EQ(sha256(result), row["sha256"]);
    EXPECT_EQ(sha256(convert_to_rgb(result)), row["rgb"]);
    EXPECT_EQ(sha256(convert_to_gray(result)), row["gray"]);
  }
}

TEST(Resample, FlatStaysFlat) {
  for (const PixelFormat format : kAllFormats) {
    Image image = blank_image(37, 23, format);
    image.palette = {1, 2, 3};
    std::fill(image.pixels.begin(), image.pixels.end(), 0xFF);
    for (const Filter filter : {Filter::nearest, Filter::bicubic, Filter::lanczos}) {
      const Image result = resize(image, {11, 50}, filter);
      EXPECT_EQ(result.pixels, std::vector<std::uint8_t>(result.pixels.size(), 0xFF));
    }
  }
}

TEST(Resample, EqualSizeIsACopyEvenWithAlpha) {
  const Image image = noise_image(PixelFormat::rgba, 9, 9, 3);
  EXPECT_EQ(resize(image, {9, 9}, Filter::lanczos).pixels, image.pixels);
}

TEST(Resample, RefusesWhatCannotBe) {
  const Image image = noise_image(PixelFormat::rgb, 9, 9, 3);
  const auto bad = ErrorCode::invalid_request;
  expect_error(bad, "0x5", [&] { resize(image, {0, 5}, Filter::lanczos); });
  expect_error(bad, "5x-1", [&] { resize(image, {5, -1}, Filter::lanczos); });
  expect_error(bad, "100000x100000", [&] { resize(image, {100'000, 100'000}, Filter::nearest); });
  for (const SourceBox& box : {SourceBox{-1, 0, 9, 9}, SourceBox{0, 0, 9.5F, 9},
                               SourceBox{5, 0, 4, 9}, SourceBox{0, 0, 9, NAN}}) {
    expect_error(bad, "box", [&] { resize(image, {5, 5}, Filter::lanczos, box); });
  }
  expect_error(bad, "no pixels", [&] { resize(Image{}, {5, 5}, Filter::lanczos); });
}

TEST(Convert, PremultipliedAlphaAndBack) {
  // all colours and alphas: the way there rounds c * a / 255, the way back rounds down and clips
  Image image = blank_image(256, 256, PixelFormat::gray_alpha);
  for (std::size_t i = 0; i < 65'536; ++i) {
    image.pixels[2 * i] = static_cast<std::uint8_t>(i % 256);
    image.pixels[2 * i + 1] = static_cast<std::uint8_t>(i / 256);
  }
  premultiply(image);
  for (std::size_t i = 0; i < 65'536; ++i) {
    const auto product = static_cast<double>(i % 256) * static_cast<double>(i / 256);
    ASSERT_EQ(image.pixels[2 * i], static_cast<int>(product / 255.0 + 0.5)) << i;
  }
  const Image premultiplied = image;
  unpremultiply(image);
  for (std::size_t i = 0; i < 65'536; ++i) {
    const int color = premultiplied.pixels[2 * i];
    const int alpha = premultiplied.pixels[2 * i + 1];
    ASSERT_EQ(image.pixels[2 * i], alpha == 0 ? color : std::min(255, 255 * color / alpha)) << i;
  }
}

}  // namespace
}  // namespace flux2
