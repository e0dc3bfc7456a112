#include "images/canvas.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "flux2/error.h"
#include "images/codec.h"
#include "images/convert.h"
#include "images/resample.h"

namespace flux2 {
namespace {

constexpr std::uint8_t kWhite = 255;

void require_canvas(Size picture, const Box& box) {
  const std::int64_t width = std::int64_t{box.right} - box.left;
  const std::int64_t height = std::int64_t{box.bottom} - box.top;
  const bool holds =
      box.left <= 0 && box.top <= 0 && box.right >= picture.width && box.bottom >= picture.height;
  if (holds && width > 0 && height > 0 && width <= kMaxPixels / height) return;
  throw Error(ErrorCode::invalid_request,
              fmt::format("a picture of {}x{} pixels cannot be extended to {}x{}", picture.width,
                          picture.height, width, height));
}

}  // namespace

Image extend_edges(const Image& picture, const Box& box) {
  require_valid(picture, "image");
  require_canvas({picture.width, picture.height}, box);
  const Image rgb = convert_for_model(picture);
  const auto bytes = static_cast<std::size_t>(bytes_per_pixel(rgb.format));
  Image canvas = blank_image(box.width(), box.height(), rgb.format);
  std::uint8_t* target = canvas.pixels.data();
  for (int y = box.top; y < box.bottom; ++y) {
    const int row = std::clamp(y, 0, rgb.height - 1);
    for (int x = box.left; x < box.right; ++x, target += bytes) {
      const int column = std::clamp(x, 0, rgb.width - 1);
      const std::size_t at = static_cast<std::size_t>(row) * static_cast<std::size_t>(rgb.width) +
                             static_cast<std::size_t>(column);
      std::memcpy(target, &rgb.pixels[bytes * at], bytes);
    }
  }
  return canvas;
}

Image extend_mask(const Image* mask, Size picture, const Box& box) {
  require_canvas(picture, box);
  Image inner = blank_image(picture.width, picture.height, PixelFormat::gray);
  if (mask != nullptr) {
    require_valid(*mask, "mask");
    inner = convert_to_gray(resize(*mask, picture, Filter::lanczos));
  }
  Image canvas = blank_image(box.width(), box.height(), PixelFormat::gray);
  std::fill(canvas.pixels.begin(), canvas.pixels.end(), kWhite);
  paste(inner, -box.left, -box.top, canvas);
  return canvas;
}

}  // namespace flux2
