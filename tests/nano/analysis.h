#pragma once

#include <string_view>
#include <vector>

#include "flux2/image.h"

namespace flux2::nano {

/// An object that was found in a picture.
struct FoundObject {
  std::string_view color;
  std::string_view shape;
  double overlap = 0;   ///< 0 to 1: how well the shape fits
  int area = 0;         ///< pixels of its colour
  double center_x = 0;  ///< pixels, of its box
  double center_y = 0;
};

struct Analysis {
  std::string_view background;
  std::vector<FoundObject> objects;  ///< colour by colour, then from top to bottom
};

/// Finds the background's colour, by the border, and the coloured objects on it: connected pixels
/// of one colour, completed by their anti-aliased rim or by what they enclose, whichever makes the
/// better shape. A port of `analyse` in tools/nano/score.py.
/// @param image  rgb
Analysis analyse(const Image& image);

}  // namespace flux2::nano
