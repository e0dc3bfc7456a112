#include "images/convert.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "images/codec.h"

namespace flux2 {
namespace {

using Rgba = std::array<std::uint8_t, 4>;

template <class Value>
Value value_at(const std::uint8_t* bytes) {
  Value value{};
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

std::uint16_t gray16_at(const std::uint8_t* pixel) {
  return value_at<std::uint16_t>(pixel);
}

// 65535 / 255 = 257, an odd number: adding half of it, rounded down, rounds to nearest.
std::uint8_t high_byte(std::uint16_t value) {
  return static_cast<std::uint8_t>((value + 128U) / 257U);
}

// Ties to even, as numpy's round.
std::uint8_t byte_of(float unit) {
  return static_cast<std::uint8_t>(std::nearbyint(std::clamp(unit, 0.0F, 1.0F) * 255.0F));
}

// One pixel of any format as Pillow converts it; the only place that knows how formats are stored.
Rgba rgba_at(const Image& image, const std::uint8_t* pixel) {
  switch (image.format) {
    case PixelFormat::rgb:
      return {pixel[0], pixel[1], pixel[2], 255};
    case PixelFormat::rgba:
      return {pixel[0], pixel[1], pixel[2], pixel[3]};
    case PixelFormat::gray_alpha:
      return {pixel[0], pixel[0], pixel[0], pixel[1]};
    case PixelFormat::palette: {
      const std::size_t at = 3 * std::size_t{pixel[0]};
      if (at + 3 > image.palette.size()) return {0, 0, 0, 255};
      return {image.palette[at], image.palette[at + 1], image.palette[at + 2], 255};
    }
    case PixelFormat::gray16: {
      const auto clipped = static_cast<std::uint8_t>(std::min<int>(gray16_at(pixel), 255));
      return {clipped, clipped, clipped, 255};
    }
    case PixelFormat::rgb16:
      return {high_byte(value_at<std::uint16_t>(pixel)),
              high_byte(value_at<std::uint16_t>(pixel + 2)),
              high_byte(value_at<std::uint16_t>(pixel + 4)), 255};
    case PixelFormat::rgb_float:
      return {byte_of(value_at<float>(pixel)), byte_of(value_at<float>(pixel + 4)),
              byte_of(value_at<float>(pixel + 8)), 255};
    case PixelFormat::gray:
    case PixelFormat::bilevel:
      break;
  }
  return {pixel[0], pixel[0], pixel[0], 255};
}

template <class Store>
Image converted(const Image& image, PixelFormat format, const Store& store) {
  Image result = blank_image(image.width, image.height, format);
  const auto in_size = static_cast<std::size_t>(bytes_per_pixel(image.format));
  const auto out_size = static_cast<std::size_t>(bytes_per_pixel(format));
  const std::size_t count = result.pixels.size() / out_size;
  for (std::size_t i = 0; i < count; ++i) {
    store(rgba_at(image, &image.pixels[i * in_size]), &result.pixels[i * out_size]);
  }
  return result;
}

std::uint8_t luma(const Rgba& color) {
  // 19595 + 38470 + 7471 = 65536, so equal channels keep their value exactly.
  return static_cast<std::uint8_t>(
      (color[0] * 19595U + color[1] * 38470U + color[2] * 7471U + 0x8000U) >> 16U);
}

// Calls change(colour, alpha) for every colour channel of an image with alpha.
template <class Change>
void change_colors(Image& image, const Change& change) {
  const auto size = static_cast<std::size_t>(bytes_per_pixel(image.format));
  for (std::size_t i = 0; i < image.pixels.size(); i += size) {
    const std::uint8_t alpha = image.pixels[i + size - 1];
    for (std::size_t c = 0; c + 1 < size; ++c)
      change(image.pixels[i + c], alpha);
  }
}

}  // namespace

Image convert_to_rgb(const Image& image) {
  if (image.format == PixelFormat::rgb) return image;
  return converted(image, PixelFormat::rgb, [](const Rgba& color, std::uint8_t* out) {
    std::copy_n(color.begin(), 3, out);
  });
}

Image convert_to_gray(const Image& image) {
  if (image.format == PixelFormat::gray) return image;
  return converted(image, PixelFormat::gray,
                   [](const Rgba& color, std::uint8_t* out) { *out = luma(color); });
}

Image convert_to_rgba(const Image& image) {
  if (image.format == PixelFormat::rgba) return image;
  return converted(image, PixelFormat::rgba, [](const Rgba& color, std::uint8_t* out) {
    std::copy_n(color.begin(), 4, out);
  });
}

bool is_deep(const Image& image) {
  return image.format == PixelFormat::rgb16 || image.format == PixelFormat::rgb_float;
}

Image convert_for_model(const Image& image) {
  if (!is_deep(image)) return convert_to_rgb(image);
  if (image.format == PixelFormat::rgb_float) return image;
  Image result = blank_image(image.width, image.height, PixelFormat::rgb_float);
  for (std::size_t i = 0; i < image.pixels.size() / 2; ++i) {
    const float unit = static_cast<float>(gray16_at(&image.pixels[2 * i])) / 65535.0F;
    std::memcpy(&result.pixels[4 * i], &unit, sizeof unit);
  }
  return result;
}

Image scale_gray16(Image image) {
  if (image.format != PixelFormat::gray16) return image;
  Image result = blank_image(image.width, image.height, PixelFormat::gray);
  for (std::size_t i = 0; i < result.pixels.size(); ++i) {
    result.pixels[i] = high_byte(gray16_at(&image.pixels[2 * i]));
  }
  return result;
}

void premultiply(Image& image) {
  change_colors(image, [](std::uint8_t& color, std::uint8_t alpha) {
    color = divide_by_255(std::uint32_t{color} * alpha);
  });
}

void unpremultiply(Image& image) {
  change_colors(image, [](std::uint8_t& color, std::uint8_t alpha) {
    if (alpha == 0 || alpha == 255) return;
    color = static_cast<std::uint8_t>(std::min(255U, 255U * color / alpha));
  });
}

}  // namespace flux2
