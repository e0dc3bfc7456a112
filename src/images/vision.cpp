#include "images/vision.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "flux2/error.h"
#include "images/codec.h"
#include "images/convert.h"
#include "images/geometry.h"
#include "images/reference.h"
#include "images/resample.h"

namespace flux2 {
namespace {

constexpr std::array<float, 3> kMean = {0.48145466F, 0.4578275F, 0.40821073F};
constexpr std::array<float, 3> kDeviation = {0.26862954F, 0.26130258F, 0.27577711F};
constexpr std::uint8_t kWhite = 255;

int rounded_up(int side) {
  return (side - 1) / kVisionMultiple * kVisionMultiple + kVisionMultiple;
}

// Both sides as PixtralImageProcessor's get_resize_output_image_size has them.
Size vision_size(Size size) {
  const double ratio = std::max(static_cast<double>(size.height) / kMaxVisionSide,
                                static_cast<double>(size.width) / kMaxVisionSide);
  if (ratio > 1) {
    // A very long picture would lose its other side altogether.
    size = {std::max(1, static_cast<int>(std::floor(size.width / ratio))),
            std::max(1, static_cast<int>(std::floor(size.height / ratio)))};
  }
  return {rounded_up(size.width), rounded_up(size.height)};
}

}  // namespace

Image join_pictures(std::span<const Image* const> pictures) {
  std::int64_t width = 0;
  int height = 0;
  for (const Image* picture : pictures) {
    require_valid(*picture, picture->file.empty() ? "image" : picture->file);
    width += picture->width;
    height = std::max(height, picture->height);
  }
  if (pictures.size() == 1) return cap_area(*pictures.front(), kMaxUpsamplingArea);
  if (width > kMaxPixels / height) {
    throw Error(ErrorCode::invalid_request,
                fmt::format("the pictures side by side are {}x{} pixels", width, height), "image",
                "use fewer or smaller pictures");
  }
  Image joined = blank_image(static_cast<int>(width), height, PixelFormat::rgb);
  std::fill(joined.pixels.begin(), joined.pixels.end(), kWhite);
  int left = 0;
  for (const Image* picture : pictures) {
    paste(convert_to_rgb(*picture), left, (height - picture->height) / 2, joined);
    left += picture->width;
  }
  return cap_area(std::move(joined), kMaxUpsamplingArea);
}

Image vision_picture(const Image& picture) {
  require_valid(picture, "image");
  const Size size = vision_size({picture.width, picture.height});
  return resize(convert_to_rgb(picture), size, Filter::bicubic);
}

std::vector<float> normalised_pixels(const Image& rgb) {
  std::vector<float> values(rgb.pixels.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float unit = static_cast<float>(rgb.pixels[i]) / 255.0F;
    values[i] = (unit - kMean[i % 3]) / kDeviation[i % 3];
  }
  return values;
}

}  // namespace flux2
