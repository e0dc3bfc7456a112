#pragma once

#include "flux2/image.h"
#include "images/geometry.h"

/// Making a picture larger, so that what is new can be painted.
namespace flux2 {

/// The picture on the canvas `box`, in coordinates of the picture: what lies outside of it repeats
/// its nearest edge pixel.
/// @param box  holds the whole picture
/// @return rgb, or rgb_float of deep colour
/// @throws Error invalid_request: an inconsistent picture; a box that cuts it, or is too large
Image extend_edges(const Image& picture, const Box& box);

/// The mask on the canvas `box` of a picture: white outside of the picture, inside what `mask`
/// says, brought to the size of the picture; black without a mask.
/// @param mask  of any size, or null
/// @return gray
/// @throws Error as extend_edges
Image extend_mask(const Image* mask, Size picture, const Box& box);

}  // namespace flux2
