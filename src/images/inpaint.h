#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "flux2/image.h"
#include "images/geometry.h"

/// Pixels around inpainting: the image, its mask, and putting the result back.
/// Source: Diffusers 0.42.1, image_processor.py and pipeline_flux2_klein_inpaint.py.
namespace flux2 {

/// How an image gets to a given size.
enum class Fit {
  stretch,  ///< both sides independently
  fill,     ///< whole image inside, centred; the bars repeat its edge lines
};

/// The size at which an image is inpainted: its own after cap_area, floored to multiples of 16.
/// @throws Error invalid_request: a side under 16 pixels
Size inpaint_size(const Image& capped);

/// @return rgb, or rgb_float of deep colour, of exactly `size`
/// @throws Error invalid_request: `size` or what is left of the image has no pixels
Image fit_image(const Image& image, Size size, Fit fit);

/// The part of the picture around the white of a mask: bounding box of what isn't black, `padding`
/// pixels more on each side, widened or heightened towards the shape of `picture`, inside the mask.
/// @param padding  pixels, >= 0
/// @throws Error invalid_request: a black mask, negative padding
Box crop_region(const Image& mask, Size picture, int padding);

/// Which pixels are painted anew: 1, and which are kept: 0.
struct BinaryMask {
  Size size;
  std::vector<std::uint8_t> values;  ///< size.height rows of size.width
};

/// Fits a mask to the picture (Lanczos in its own format) and splits it at half brightness.
BinaryMask binary_mask(const Image& mask, Size picture, Fit fit);

/// The mask at the size of the latent tokens, rows from the top: torch's bilinear interpolation
/// with align_corners false and no antialias, so that values between 0 and 1 occur at edges.
/// @return tokens.height * tokens.width values, [L] in token order
std::vector<float> token_mask(const BinaryMask& mask, Size tokens);

/// How a painted part comes back into its box of the original.
enum class OverlayFit {
  cover,        ///< resized so that it covers the box, centre kept: undoes Fit::fill
  centre_crop,  ///< not resized, only its centre cut out: what Flux2KleinInpaintPipeline does today
};

/// The painted picture with the original laid over it wherever the mask is black.
struct Overlay {
  const Image& mask;                      ///< of the size of `original`; gray gives a soft edge
  const Image& original;                  ///< any format
  std::optional<Box> box = std::nullopt;  ///< where `painted` belongs; empty: everywhere
  OverlayFit fit = OverlayFit::cover;
};

/// @param painted  rgb; of the original's size if there is no box
/// @return rgb of the original's size
/// @throws Error invalid_request: sizes that do not belong together
Image apply_overlay(const Image& painted, const Overlay& overlay);

}  // namespace flux2
