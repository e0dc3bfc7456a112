#pragma once

#include <string_view>

#include "mask.h"

namespace flux2::nano {

/// Where a shape is and how big, in pixels.
struct Placement {
  double center_x = 0;
  double center_y = 0;
  double radius = 0;
};

/// The pixels that the renderer (tools/nano/scenes.py) covers by half or more.
/// @param shape  circle, square, triangle, star, ring, diamond, cross or heart
Mask paint_shape(std::string_view shape, const Placement& place, int width, int height);

struct ShapeMatch {
  std::string_view shape;
  double overlap = 0;  ///< 0 to 1
};

/// The shape that covers `mask` best when it is given the same box.
/// @param mask  not empty
ShapeMatch match_shape(const Mask& mask);

}  // namespace flux2::nano
