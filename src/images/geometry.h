#pragma once

#include <string>

#include "flux2/image.h"

namespace flux2 {

/// Width and height in pixels.
struct Size {
  int width = 0;
  int height = 0;
  friend bool operator==(const Size&, const Size&) = default;
};

/// The rectangle left <= x < right, top <= y < bottom. It may reach outside of an image.
struct Box {
  int left = 0;
  int top = 0;
  int right = 0;
  int bottom = 0;
  int width() const { return right - left; }
  int height() const { return bottom - top; }
  friend bool operator==(const Box&, const Box&) = default;
};

/// @throws Error invalid_request: no pixels, or pixels or palette of another size than the fields
///               of the image say; NaN or infinity; `where` names it
void require_valid(const Image& image, const std::string& where);

/// Pillow's `Image.crop`: what lies outside of the image is zero (black, transparent, index 0).
/// @throws Error invalid_request: an empty box
Image crop(const Image& image, const Box& box);

/// The box of `size` in the middle of an image, rounded to the left and top as Python's //:
/// left = (image width - width) // 2. Larger sizes reach outside.
Box centre_box(const Image& image, Size size);

/// Copies `source` over `target` with its upper left corner at (left, top); what reaches outside
/// is cut off. Both have the same format.
void paste(const Image& source, int left, int top, Image& target);

/// Turns an image upright. @param exif_orientation 1..8; any other value means 1 (EXIF 2.32, 4.6.4)
Image oriented(Image image, int exif_orientation);

}  // namespace flux2
