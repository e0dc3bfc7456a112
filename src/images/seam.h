#pragma once

#include "flux2/image.h"

namespace flux2 {

/// How far, in pixels, a painted part fades into what surrounds it.
inline constexpr int kSeamWidth = 8;

/// How much of a painted picture shows at each pixel, so that it fades inside its mask and nothing
/// outside of the mask changes: 0 where the mask is darker than half (as binary_mask splits it),
/// and d / (s + 1) * 255 at a distance of d pixels from there, up to 255. s is kSeamWidth, less in
/// masks that are thin everywhere. Distances are chamfer's: 1 to the side, 4/3 across.
/// @param mask  any format
/// @return gray, of the mask's size
/// @throws Error invalid_request: an inconsistent mask
Image seam_mask(const Image& mask);

}  // namespace flux2
