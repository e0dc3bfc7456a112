#pragma once

#include <string>

#include "flux2/image.h"
#include "images/geometry.h"

/// What the pipelines do with a reference image before the VAE sees it.
/// Source: Diffusers 0.42.1, pipelines/flux2/image_processor.py and pipeline_flux2.py.
namespace flux2 {

inline constexpr int kMinReferenceSide = 64;
inline constexpr int kMaxReferenceAspect = 8;
inline constexpr int kMaxReferenceArea = 1024 * 1024;
/// Sides of a picture are multiples of this: 8 from the VAE times 2 from the patches.
inline constexpr int kSideMultiple = 16;

/// @param where  names the image in the error, e.g. the file
/// @throws Error invalid_request: a side under 64 pixels, or one more than 8 times the other
void check_reference(const Image& image, const std::string& where);

/// An image of at most `most` pixels: larger ones shrink with Lanczos in their own format, both
/// sides by sqrt(most / area), rounded down.
Image cap_area(Image image, int most = kMaxReferenceArea);

/// Both sides rounded down to a multiple of 16.
Size floor_to_multiple(Size size);

/// The whole way: check, cap, cut the middle to multiples of 16, convert_for_model.
/// @return rgb or rgb_float, both sides a multiple of 16
/// @throws Error invalid_request: as check_reference, or an inconsistent image
Image prepare_reference(const Image& image, const std::string& where);

}  // namespace flux2
