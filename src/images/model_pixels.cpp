#include "images/model_pixels.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "flux2/error.h"
#include "images/codec.h"

namespace flux2 {
namespace {

void require_values(std::span<const float> values, Size size) {
  const auto pixels = static_cast<std::size_t>(std::max(size.width, 0)) *
                      static_cast<std::size_t>(std::max(size.height, 0));
  if (pixels == 0 || values.size() != 3 * pixels) {
    throw Error(ErrorCode::internal, fmt::format("{} values are not a picture of {}x{}",
                                                 values.size(), size.width, size.height));
  }
  if (std::any_of(values.begin(), values.end(), [](float v) { return std::isnan(v); })) {
    throw Error(ErrorCode::internal, "the picture contains values that are not numbers", {},
                "try --compute f32, and check the weights");
  }
}

}  // namespace

std::vector<float> to_model_tensor(const Image& rgb) {
  require_valid(rgb, "image");
  if (rgb.format == PixelFormat::rgb_float) {
    std::vector<float> tensor(rgb.pixels.size() / sizeof(float));
    std::memcpy(tensor.data(), rgb.pixels.data(), rgb.pixels.size());
    for (float& v : tensor)
      v = 2.0F * v - 1.0F;
    return tensor;
  }
  if (rgb.format != PixelFormat::rgb) {
    throw Error(ErrorCode::invalid_request, "only an RGB image becomes a tensor", "image",
                "convert it first");
  }
  std::vector<float> tensor(rgb.pixels.size());
  std::transform(rgb.pixels.begin(), rgb.pixels.end(), tensor.begin(),
                 [](std::uint8_t v) { return 2.0F * (static_cast<float>(v) / 255.0F) - 1.0F; });
  return tensor;
}

std::vector<float> unit_pixels(std::span<const float> tensor, Size size) {
  require_values(tensor, size);
  std::vector<float> unit(tensor.size());
  std::transform(tensor.begin(), tensor.end(), unit.begin(),
                 [](float v) { return std::clamp(v * 0.5F + 0.5F, 0.0F, 1.0F); });
  return unit;
}

Image image_from_unit(std::span<const float> unit, Size size) {
  require_values(unit, size);
  Image image = blank_image(size.width, size.height, PixelFormat::rgb);
  std::transform(unit.begin(), unit.end(), image.pixels.begin(), [](float value) {
    // nearbyint rounds ties to even in the default rounding mode, as numpy's round
    return static_cast<std::uint8_t>(std::nearbyint(std::clamp(value, 0.0F, 1.0F) * 255.0F));
  });
  return image;
}

Image from_model_tensor(std::span<const float> tensor, Size size) {
  return image_from_unit(unit_pixels(tensor, size), size);
}

}  // namespace flux2
