#pragma once

#include <span>
#include <vector>

#include "flux2/image.h"

/// What [dev]'s language model is shown of pictures when it rewrites a prompt.
/// Source: Diffusers 0.42.1, Flux2ImageProcessor; transformers 5.24, PixtralImageProcessor.
namespace flux2 {

/// Sides of what the vision tower sees are multiples of this: patches of 14, merged 2 x 2.
inline constexpr int kVisionMultiple = 28;
inline constexpr int kMaxVisionSide = 1540;
inline constexpr int kMaxUpsamplingArea = 768 * 768;

/// All pictures in one: side by side on white, each in the middle of the height, then shrunk to at
/// most 768 * 768 pixels. A single one keeps its format.
/// @param pictures  at least one
/// @throws Error invalid_request: an inconsistent picture, or more pixels than a file may have
Image join_pictures(std::span<const Image* const> pictures);

/// Shrunk so that no side is over 1540, then stretched to the next multiples of 28 with Pillow's
/// bicubic filter (torchvision's, which transformers takes, is one level off in some 0.2 % of the
/// values).
/// @return rgb
Image vision_picture(const Image& picture);

/// @param rgb  H x W
/// @return [H, W, 3]: (v / 255 - mean) / deviation of CLIP's training pictures
std::vector<float> normalised_pixels(const Image& rgb);

}  // namespace flux2
