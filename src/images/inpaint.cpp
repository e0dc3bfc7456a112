#include "images/inpaint.h"

#include <fmt/format.h>

#include <algorithm>

#include "flux2/error.h"
#include "images/codec.h"
#include "images/convert.h"
#include "images/reference.h"
#include "images/resample.h"

namespace flux2 {
namespace {

[[noreturn]] void reject(std::string message, std::string hint = {}) {
  throw Error(ErrorCode::invalid_request, std::move(message), {}, std::move(hint));
}

void require_pixels(Size size) {
  if (size.width < 1 || size.height < 1 || size.width > kMaxPixels / size.height) {
    reject(fmt::format("cannot make a picture of {}x{} pixels", size.width, size.height));
  }
}

double aspect(Size size) {
  return static_cast<double>(size.width) / size.height;
}

Size size_of(const Image& image) {
  return {image.width, image.height};
}

// The size of an image of shape `shape` whose width is `width`, and the same for a height.
int height_at_width(Size shape, int width) {
  return static_cast<int>(std::int64_t{shape.height} * width / shape.width);
}
int width_at_height(Size shape, int height) {
  return static_cast<int>(std::int64_t{shape.width} * height / shape.height);
}

// Into a target that convert_for_model would give.
void paste_as_rgb(const Image& source, int left, int top, Image& target) {
  paste(is_deep(target) ? convert_for_model(source) : convert_to_rgb(source), left, top, target);
}

PixelFormat model_format(const Image& image) {
  return is_deep(image) ? PixelFormat::rgb_float : PixelFormat::rgb;
}

// Repeats the first and the last row of `inner` in the bars above and below it.
void fill_above_and_below(const Image& inner, int bar, Image& target) {
  if (bar <= 0) return;
  const Size size{target.width, bar};
  const auto width = static_cast<float>(size.width);
  const auto end = static_cast<float>(inner.height);
  paste_as_rgb(resize(inner, size, Filter::bicubic, {0, 0, width, 0}), 0, 0, target);
  paste_as_rgb(resize(inner, size, Filter::bicubic, {0, end, width, end}), 0, bar + inner.height,
               target);
}

void fill_left_and_right(const Image& inner, int bar, Image& target) {
  if (bar <= 0) return;
  const Size size{bar, target.height};
  const auto height = static_cast<float>(size.height);
  const auto end = static_cast<float>(inner.width);
  paste_as_rgb(resize(inner, size, Filter::bicubic, {0, 0, 0, height}), 0, 0, target);
  paste_as_rgb(resize(inner, size, Filter::bicubic, {end, 0, end, height}), bar + inner.width, 0,
               target);
}

// VaeImageProcessor._resize_and_fill.
Image resize_and_fill(const Image& image, Size size) {
  const double ratio = aspect(size);
  const double image_ratio = aspect(size_of(image));
  const bool wide = ratio < image_ratio;  // the image is wider than the target
  const Size inner_size{wide ? size.width : width_at_height(size_of(image), size.height),
                        wide ? height_at_width(size_of(image), size.width) : size.height};
  const Image inner = resize(image, inner_size, Filter::lanczos);
  const int left = size.width / 2 - inner.width / 2;
  const int top = size.height / 2 - inner.height / 2;
  Image result = blank_image(size.width, size.height, model_format(image));
  paste_as_rgb(inner, left, top, result);
  if (wide) fill_above_and_below(inner, top, result);
  if (ratio > image_ratio) fill_left_and_right(inner, left, result);
  return result;
}

// VaeImageProcessor._resize_and_crop.
Image resize_and_cover(const Image& image, Size size) {
  const bool by_width = aspect(size) > aspect(size_of(image));
  const Size outer_size{by_width ? size.width : width_at_height(size_of(image), size.height),
                        by_width ? height_at_width(size_of(image), size.width) : size.height};
  const Image outer = resize(image, outer_size, Filter::lanczos);
  Image result = blank_image(size.width, size.height, PixelFormat::rgb);
  paste_as_rgb(outer, size.width / 2 - outer.width / 2, size.height / 2 - outer.height / 2, result);
  return result;
}

Image fitted(const Image& image, Size size, Fit fit) {
  require_valid(image, "image");
  require_pixels(size);
  return fit == Fit::fill ? resize_and_fill(image, size) : resize(image, size, Filter::lanczos);
}

// A range of pixels along one axis.
struct Span {
  std::int64_t begin;
  std::int64_t end;
  std::int64_t length() const { return end - begin; }
};

// Makes `span` longer by `more`, half on each side, then pushes it back into [0, limit).
Span widened(Span span, std::int64_t more, std::int64_t limit) {
  span.begin -= more / 2;
  span.end += more - more / 2;
  if (span.end >= limit) {
    span.begin -= span.end - limit;
    span.end = limit;
  }
  if (span.begin < 0) {
    span.end -= span.begin;
    span.begin = 0;
  }
  span.end = std::min(span.end, limit);
  return span;
}

// The bounding box of what is not zero in a gray image; empty (right <= left) if all is.
Box bounding_box(const Image& gray) {
  Box box{gray.width, gray.height, 0, 0};
  std::size_t i = 0;
  for (int y = 0; y < gray.height; ++y) {
    for (int x = 0; x < gray.width; ++x, ++i) {
      if (gray.pixels[i] == 0) continue;
      box = {std::min(box.left, x), std::min(box.top, y), std::max(box.right, x + 1),
             std::max(box.bottom, y + 1)};
    }
  }
  return box;
}

// One axis of torch's bilinear interpolation: result = (1 - t) * source[low] + t * source[high].
struct Tap {
  std::size_t low;
  std::size_t high;
  float t;
};

Tap bilinear_tap(int source, int target, int index) {
  const float scale = static_cast<float>(source) / static_cast<float>(target);
  const float position = std::max(scale * (static_cast<float>(index) + 0.5F) - 0.5F, 0.0F);
  const int low = std::min(static_cast<int>(position), source - 1);
  return {static_cast<std::size_t>(low), static_cast<std::size_t>(std::min(low + 1, source - 1)),
          std::clamp(position - static_cast<float>(low), 0.0F, 1.0F)};
}

// Lays `over`, an rgba image, over an opaque rgb image: Pillow's alpha_composite with
// 7 extra bits, for a lower image of alpha 255.
void composite(const Image& over, Image& rgb) {
  constexpr std::uint32_t kBits = 7;
  for (std::size_t i = 0; i < rgb.pixels.size() / 3; ++i) {
    const std::uint32_t alpha = over.pixels[4 * i + 3];
    if (alpha == 0) continue;
    const std::uint32_t upper = alpha << kBits;
    const std::uint32_t lower = (255U << kBits) - upper;
    for (std::size_t c = 0; c < 3; ++c) {
      std::uint8_t& below = rgb.pixels[3 * i + c];
      const std::uint32_t sum = over.pixels[4 * i + c] * upper + below * lower + (128U << kBits);
      below = static_cast<std::uint8_t>((((sum >> 8U) + sum) >> 8U) >> kBits);
    }
  }
}

// The original with alpha 255 - mask.
Image kept_part(const Image& original, const Image& mask) {
  const Image gray = convert_to_gray(mask);
  Image kept = convert_to_rgba(original);
  premultiply(kept);
  for (std::size_t i = 0; i < gray.pixels.size(); ++i) {
    const std::uint32_t keep = 255U - gray.pixels[i];
    for (std::size_t c = 0; c < 4; ++c) {
      kept.pixels[4 * i + c] = divide_by_255(kept.pixels[4 * i + c] * keep);
    }
  }
  unpremultiply(kept);
  return kept;
}

// The painted part in its box on black.
Image placed(const Image& painted, const Box& box, OverlayFit fit, Size canvas) {
  const Size size{box.width(), box.height()};
  require_pixels(size);
  const Image part = fit == OverlayFit::cover ? resize_and_cover(painted, size)
                                              : crop(painted, centre_box(painted, size));
  Image result = blank_image(canvas.width, canvas.height, PixelFormat::rgb);
  paste_as_rgb(part, box.left, box.top, result);
  return result;
}

}  // namespace

Size inpaint_size(const Image& capped) {
  const Size size = floor_to_multiple(size_of(capped));
  if (size.width < 1 || size.height < 1) {
    reject(fmt::format("the image to inpaint is {}x{} pixels, but both sides must be at least {}",
                       capped.width, capped.height, kSideMultiple),
           "use a larger picture");
  }
  return size;
}

Image fit_image(const Image& image, Size size, Fit fit) {
  return convert_for_model(fitted(image, size, fit));
}

Box crop_region(const Image& mask, Size picture, int padding) {
  require_valid(mask, "mask");
  require_pixels(picture);
  if (padding < 0) reject(fmt::format("the padding around the mask is {}, under 0", padding));
  const Box found = bounding_box(convert_to_gray(mask));
  if (found.width() <= 0) reject("the mask is black all over", "paint white what shall change");

  const std::int64_t pad = padding;
  Span x{std::max<std::int64_t>(found.left - pad, 0),
         std::min<std::int64_t>(found.right + pad, mask.width)};
  Span y{std::max<std::int64_t>(found.top - pad, 0),
         std::min<std::int64_t>(found.bottom + pad, mask.height)};
  const auto width = static_cast<double>(x.length());
  const auto height = static_cast<double>(y.length());
  const double ratio = aspect(picture);
  if (width / height > ratio) {
    y = widened(y, static_cast<std::int64_t>(width / ratio - height), mask.height);
  } else {
    x = widened(x, static_cast<std::int64_t>(height * ratio - width), mask.width);
  }
  return {static_cast<int>(x.begin), static_cast<int>(y.begin), static_cast<int>(x.end),
          static_cast<int>(y.end)};
}

BinaryMask binary_mask(const Image& mask, Size picture, Fit fit) {
  const Image gray = convert_to_gray(fitted(mask, picture, fit));
  BinaryMask result{picture, std::vector<std::uint8_t>(gray.pixels.size())};
  // v / 255 >= 0.5 where v >= 128
  std::transform(gray.pixels.begin(), gray.pixels.end(), result.values.begin(),
                 [](std::uint8_t v) { return static_cast<std::uint8_t>(v >= 128 ? 1 : 0); });
  return result;
}

std::vector<float> token_mask(const BinaryMask& mask, Size tokens) {
  require_pixels(tokens);
  require_pixels(mask.size);
  const auto width = static_cast<std::size_t>(mask.size.width);
  std::vector<float> result;
  for (int y = 0; y < tokens.height; ++y) {
    const Tap row = bilinear_tap(mask.size.height, tokens.height, y);
    for (int x = 0; x < tokens.width; ++x) {
      const Tap column = bilinear_tap(mask.size.width, tokens.width, x);
      const auto along = [&](std::size_t line) {
        const std::uint8_t* values = &mask.values[line * width];
        return (1.0F - column.t) * static_cast<float>(values[column.low]) +
               column.t * static_cast<float>(values[column.high]);
      };
      result.push_back((1.0F - row.t) * along(row.low) + row.t * along(row.high));
    }
  }
  return result;
}

Image apply_overlay(const Image& painted, const Overlay& overlay) {
  require_valid(painted, "painted image");
  require_valid(overlay.mask, "mask");
  require_valid(overlay.original, "original image");
  const Size size = size_of(overlay.original);
  if (size_of(overlay.mask) != size) {
    reject(fmt::format("the mask is {}x{} pixels, the image {}x{}", overlay.mask.width,
                       overlay.mask.height, size.width, size.height),
           "bring both to one size");
  }
  Image result =
      overlay.box ? placed(painted, *overlay.box, overlay.fit, size) : convert_to_rgb(painted);
  if (size_of(result) != size) {
    reject(fmt::format("the painted image is {}x{} pixels, the original {}x{}", result.width,
                       result.height, size.width, size.height));
  }
  composite(kept_part(overlay.original, overlay.mask), result);
  return result;
}

}  // namespace flux2
