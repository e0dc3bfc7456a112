#include "images/geometry.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "flux2/error.h"
#include "images/codec.h"

namespace flux2 {
namespace {

// The overlap of [0, source) placed at `at` with [0, target): where it starts in both, how long.
struct Overlap {
  std::size_t source = 0;
  std::size_t target = 0;
  std::size_t length = 0;
};

Overlap overlap_of(std::int64_t source, std::int64_t target, std::int64_t at) {
  const std::int64_t begin = std::max<std::int64_t>(at, 0);
  const std::int64_t end = std::min(at + source, target);
  if (begin >= end) return {};
  return {static_cast<std::size_t>(begin - at), static_cast<std::size_t>(begin),
          static_cast<std::size_t>(end - begin)};
}

void paste_rows(const Image& source, std::int64_t left, std::int64_t top, Image& target) {
  const auto size = static_cast<std::size_t>(bytes_per_pixel(source.format));
  const Overlap columns = overlap_of(source.width, target.width, left);
  const Overlap rows = overlap_of(source.height, target.height, top);
  if (columns.length == 0) return;
  for (std::size_t y = 0; y < rows.length; ++y) {
    const std::size_t from =
        (rows.source + y) * static_cast<std::size_t>(source.width) + columns.source;
    const std::size_t to =
        (rows.target + y) * static_cast<std::size_t>(target.width) + columns.target;
    std::memcpy(&target.pixels[to * size], &source.pixels[from * size], columns.length * size);
  }
}

int floor_half(int value) {
  return value >= 0 ? value / 2 : -((-value + 1) / 2);
}

// What an EXIF orientation does to get upright: first swap rows and columns, then mirror.
struct Turn {
  bool transpose;
  bool mirror_x;
  bool mirror_y;
};
constexpr Turn kTurns[] = {{false, false, false}, {false, true, false}, {false, true, true},
                           {false, false, true},  {true, false, false}, {true, true, false},
                           {true, true, true},    {true, false, true}};

}  // namespace

void require_valid(const Image& image, const std::string& where) {
  const auto fail = [&where](std::string what) {
    throw Error(ErrorCode::invalid_request, std::move(what), where);
  };
  if (image.width <= 0 || image.height <= 0) {
    fail(fmt::format("the image has no pixels: {}x{}", image.width, image.height));
  }
  const auto expected = static_cast<std::size_t>(image.width) *
                        static_cast<std::size_t>(image.height) *
                        static_cast<std::size_t>(bytes_per_pixel(image.format));
  if (image.pixels.size() != expected) {
    fail(fmt::format("an image of {}x{} needs {} bytes of pixels, not {}", image.width,
                     image.height, expected, image.pixels.size()));
  }
  if (image.format == PixelFormat::rgb_float) {
    for (std::size_t at = 0; at < image.pixels.size(); at += sizeof(float)) {
      float value = 0;
      std::memcpy(&value, &image.pixels[at], sizeof value);
      if (!std::isfinite(value)) fail("the image holds NaN or infinity");
    }
  }
  const std::size_t colors = image.palette.size();
  if (image.format == PixelFormat::palette && (colors == 0 || colors % 3 != 0 || colors > 768)) {
    fail(fmt::format("a palette takes 3 bytes for each of 1 to 256 colours, not {} bytes", colors));
  }
}

Image crop(const Image& image, const Box& box) {
  const std::int64_t width = std::int64_t{box.right} - box.left;
  const std::int64_t height = std::int64_t{box.bottom} - box.top;
  if (width <= 0 || height <= 0 || width > kMaxPixels / height) {
    throw Error(ErrorCode::invalid_request,
                fmt::format("cannot crop to {}x{} pixels", width, height));
  }
  Image result = blank_image(static_cast<int>(width), static_cast<int>(height), image.format);
  result.palette = image.palette;
  paste_rows(image, -std::int64_t{box.left}, -std::int64_t{box.top}, result);
  return result;
}

Box centre_box(const Image& image, Size size) {
  const int left = floor_half(image.width - size.width);
  const int top = floor_half(image.height - size.height);
  return {left, top, left + size.width, top + size.height};
}

void paste(const Image& source, int left, int top, Image& target) {
  if (source.format != target.format) {
    throw Error(ErrorCode::internal, "pasting between images of different formats");
  }
  paste_rows(source, left, top, target);
}

Image oriented(Image image, int exif_orientation) {
  if (exif_orientation < 2 || exif_orientation > 8) return image;
  const Turn turn = kTurns[exif_orientation - 1];
  Image result = turn.transpose ? blank_image(image.height, image.width, image.format)
                                : blank_image(image.width, image.height, image.format);
  result.palette = std::move(image.palette);
  const auto size = static_cast<std::size_t>(bytes_per_pixel(image.format));
  const auto width = static_cast<std::size_t>(result.width);
  const auto height = static_cast<std::size_t>(result.height);
  for (std::size_t y = 0; y < height; ++y) {
    for (std::size_t x = 0; x < width; ++x) {
      const std::size_t u = turn.mirror_x ? width - 1 - x : x;
      const std::size_t v = turn.mirror_y ? height - 1 - y : y;
      const std::size_t from = turn.transpose ? u * height + v : v * width + u;
      std::memcpy(&result.pixels[(y * width + x) * size], &image.pixels[from * size], size);
    }
  }
  return result;
}

}  // namespace flux2
