#pragma once

#include <span>
#include <vector>

#include "flux2/image.h"
#include "images/geometry.h"

/// Between pixels and the numbers that the VAE works with. H and W are height and width in pixels.
/// Source: Diffusers 0.42.1, image_processor.py.
namespace flux2 {

/// @param rgb  H x W, rgb or rgb_float
/// @return [H, W, 3] in [-1, 1]: 2 * (v / 255) - 1 in float32, 2 v - 1 of floats
/// @throws Error invalid_request: another format, or an inconsistent image
std::vector<float> to_model_tensor(const Image& rgb);

/// @param tensor  [H, W, 3], what the decoder gives, about [-1, 1]
/// @return [H, W, 3] in [0, 1]: clamp(0.5 * x + 0.5), "np" in Diffusers
/// @throws Error internal: a tensor of another size; a value that is not a number
std::vector<float> unit_pixels(std::span<const float> tensor, Size size);

/// @param unit  [H, W, 3] in [0, 1]
/// @return rgb: round(255 * x), ties to even
/// @throws Error as unit_pixels
Image image_from_unit(std::span<const float> unit, Size size);

/// Both in one: the picture of a decoder's output [H, W, 3].
Image from_model_tensor(std::span<const float> tensor, Size size);

}  // namespace flux2
