#pragma once

#include "flux2/image.h"
#include "images/geometry.h"

namespace flux2 {

enum class Filter { nearest, bicubic, lanczos };

/// The part of a source that is stretched over the whole result. Edges may lie between pixels, and
/// the part may have no extent: then the result repeats that line.
struct SourceBox {
  float left = 0;
  float top = 0;
  float right = 0;
  float bottom = 0;
};

/// Pillow's `Image.resize(size, filter)`, to the last bit.
///
/// bilevel and palette images always use `nearest`; images with alpha are resampled premultiplied;
/// an equal size is a copy. 8-bit weights have 22 fractional bits, and each of the two passes
/// rounds to the format: columns first, except where the height shrinks by over twice what the
/// width does. Source: Pillow 13.0, src/libImaging/Resample.c, Geometry.c.
/// @throws Error invalid_request: a side of `size` under 1, or more pixels than a file may have
Image resize(const Image& image, Size size, Filter filter);

/// The same for a part of the image: Pillow's `box` argument.
/// @throws Error invalid_request: also when `box` leaves the image
Image resize(const Image& image, Size size, Filter filter, const SourceBox& box);

}  // namespace flux2
