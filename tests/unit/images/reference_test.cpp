// What the pipelines hand to the VAE, against tests/goldens/data/images.
#include "images/reference.h"

#include "images/convert.h"
#include "images/inpaint.h"
#include "images/model_pixels.h"
#include "images/resample.h"
#include "support.h"

namespace flux2 {
namespace {

using namespace test;

const std::filesystem::path kImages = kGoldens / "images";

void expect_golden(const Image& image, const Json& golden) {
  EXPECT_EQ(image.format, PixelFormat::rgb);
  EXPECT_EQ(image.width, golden["size"][0]);
  EXPECT_EQ(image.height, golden["size"][1]);
  EXPECT_EQ(sha256(image), golden["sha256"]);
  const std::string file = golden["file"];
  EXPECT_EQ(image.pixels, load_image(kImages / file, kAsPillow).pixels);
}

TEST(Reference, EqualsEveryGolden) {
  const Json cases = read_json(kImages / "reference.json");
  ASSERT_EQ(cases.size(), 19U);
  int inpaint = 0;
  for (const Json& row : cases) {
    SCOPED_TRACE(row["name"].get<std::string>());
    const std::string input = row["input"];
    const Image image = load_image(kImages / input, kAsPillow);
    EXPECT_EQ(image.format, format_of_mode(row["pil_mode"]));
    expect_golden(prepare_reference(image, input), row["reference"]);
    if (!row.contains("inpaint")) continue;
    const Image capped = cap_area(image);
    expect_golden(fit_image(capped, inpaint_size(capped), Fit::stretch), row["inpaint"]);
    ++inpaint;
  }
  EXPECT_EQ(inpaint, 8);
}

// The two named differences of reading a file: 16-bit gray is scaled, not clipped, and a camera's
// orientation is applied.
TEST(Reference, NamedDifferencesOfLoading) {
  const Image scaled = load_image(kImages / "gray16.png");
  EXPECT_EQ(scaled.format, PixelFormat::gray);
  const Image reference = prepare_reference(scaled, "gray16");
  const Image clipped = load_image(kImages / "gray16.reference.png");
  EXPECT_NE(reference.pixels, clipped.pixels);
  const auto white = [](const Image& image) {
    return std::count(image.pixels.begin(), image.pixels.end(), 255);
  };
  EXPECT_LT(white(reference), white(clipped) / 10);

  const Image upright = load_image(kImages / "exif-rotated.png");
  EXPECT_EQ(upright.width, 66);
  EXPECT_EQ(upright.height, 98);
}

TEST(Reference, ChecksSidesAndAspect) {
  const auto check = [](int width, int height) {
    check_reference(blank_image(width, height, PixelFormat::gray), "cat.png");
  };
  const auto bad = ErrorCode::invalid_request;
  // the sizes of goldens/images/errors.json
  expect_error(bad, "cat.png: the reference image is 63x100 pixels", [&] { check(63, 100); });
  expect_error(bad, "at least 64", [&] { check(100, 60); });
  expect_error(bad, "64x513", [&] { check(64, 513); });
  expect_error(bad, "10.9:1", [&] { check(700, 64); });
  check(64, 64);
  check(64, 512);
  check(512, 64);
  expect_error(bad, "0x0", [] { check_reference(Image{}, "x"); });
  expect_error(bad, "no pixels", [] { prepare_reference(Image{}, "x"); });
}

TEST(Reference, CapsTheAreaOnlyAboveIt) {
  const auto capped = [](int width, int height) {
    const Image image = cap_area(blank_image(width, height, PixelFormat::bilevel));
    return Size{image.width, image.height};
  };
  EXPECT_EQ(capped(1024, 1024), (Size{1024, 1024}));
  EXPECT_EQ(capped(512, 2048), (Size{512, 2048}));
  EXPECT_EQ(capped(1025, 1024), (Size{1024, 1023}));
  EXPECT_EQ(capped(2048, 2048), (Size{1024, 1024}));
  EXPECT_EQ(capped(2000, 700), (Size{1730, 605}));
}

// A tall picture is the case in which Pillow 13 resamples rows first; its hash is Pillow's.
TEST(Reference, TallPicturesShrinkRowsFirst) {
  const Image capped = cap_area(noise_image(PixelFormat::rgb, 700, 2100, 77));
  EXPECT_EQ((Size{capped.width, capped.height}), (Size{591, 1773}));
  EXPECT_EQ(sha256(capped), "bd6d626e268eaa593fa28dd5db2fa7e578ea7e7e1b9fb7ef4a34ad66c5091570");
}

TEST(Geometry, CropPadsWithZero) {
  const Image image = noise_image(PixelFormat::gray, 3, 2, 4);
  const Image larger = crop(image, centre_box(image, {6, 5}));
  // left = (3 - 6) // 2 = -2, top = (2 - 5) // 2 = -2
  for (int y = 0; y < 5; ++y) {
    for (int x = 0; x < 6; ++x) {
      const bool inside = x >= 2 && x < 5 && y >= 2 && y < 4;
      const auto at = static_cast<std::size_t>(y * 6 + x);
      const auto from = static_cast<std::size_t>((y - 2) * 3 + x - 2);
      EXPECT_EQ(larger.pixels[at], inside ? image.pixels[from] : 0);
    }
  }
  EXPECT_EQ(crop(image, {10, 10, 12, 12}).pixels, std::vector<std::uint8_t>(4, 0));
  expect_error(ErrorCode::invalid_request, "0x2", [&] { crop(image, {1, 0, 1, 2}); });
  constexpr int kMax = std::numeric_limits<int>::max();
  expect_error(ErrorCode::invalid_request, "crop", [&] {
    crop(image, {-kMax, -kMax, kMax, kMax});
  });
}

TEST(ModelPixels, ToAndFromTheVae) {
  Image image = blank_image(256, 1, PixelFormat::rgb);
  for (std::size_t i = 0; i < 768; ++i)
    image.pixels[i] = static_cast<std::uint8_t>(i / 3 + i % 3);
  const std::vector<float> tensor = to_model_tensor(image);
  ASSERT_EQ(tensor.size(), 768U);
  for (std::size_t i = 0; i < 768; ++i) {
    const volatile float unit = static_cast<float>(image.pixels[i]) / 255.0F;
    const volatile float twice = 2.0F * unit;
    EXPECT_EQ(tensor[i], twice - 1.0F);
  }
  EXPECT_EQ(from_model_tensor(tensor, {256, 1}).pixels, image.pixels);
}

TEST(ModelPixels, RoundsToEvenAndClamps) {
  const std::vector<float> unit{0.5F / 255, 1.5F / 255, 2.5F / 255, 1.0F, 2.0F, -1.0F};
  const Image image = image_from_unit(unit, {2, 1});
  EXPECT_EQ(image.pixels[1], 2);
  EXPECT_EQ(image.pixels[3], 255);
  EXPECT_EQ(image.pixels[4], 255);
  EXPECT_EQ(image.pixels[5], 0);
  // 0.5 * 0 + 0.5 = 127.5 / 255: a tie, to the even 128
  EXPECT_EQ(from_model_tensor(std::vector<float>(3, 0.0F), {1, 1}).pixels,
            std::vector<std::uint8_t>(3, 128));
  EXPECT_EQ(from_model_tensor(std::vector<float>{-9, 0.25F, 9}, {1, 1}).pixels,
            (std::vector<std::uint8_t>{0, 159, 255}));
}

TEST(ModelPixels, RefusesWhatIsNoPicture) {
  const auto code = ErrorCode::internal;
  expect_error(code, "not a picture", [] { from_model_tensor(std::vector<float>(4), {1, 1}); });
  expect_error(code, "not a picture", [] { from_model_tensor({}, {0, 0}); });
  expect_error(code, "not numbers", [] {
    from_model_tensor(std::vector<float>{0, std::numeric_limits<float>::quiet_NaN(), 0}, {1, 1});
  });
  expect_error(ErrorCode::invalid_request, "RGB",
               [] { to_model_tensor(blank_image(2, 2, PixelFormat::gray)); });
}

}  // namespace
}  // namespace flux2
