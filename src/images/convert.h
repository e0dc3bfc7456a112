#pragma once

#include "flux2/image.h"

namespace flux2 {

/// Pillow's `Image.convert("RGB")`: alpha is dropped, not blended; palettes are looked up (an index
/// past the end is black); 16-bit gray over 255 becomes white. Deep colour is rounded to 8 bits.
Image convert_to_rgb(const Image& image);

/// Pillow's `convert("L")`: (19595 R + 38470 G + 7471 B + 2^15) >> 16, the ITU-R 601-2 luma in
/// 16-bit fixed point; alpha is dropped, 16-bit gray is clipped to 255.
Image convert_to_gray(const Image& image);

/// Pillow's `convert("RGBA")`, alpha 255 where the image has none. A transparent colour that a PNG
/// declares on the side (tRNS) isn't part of an Image and isn't applied.
Image convert_to_rgba(const Image& image);

/// Whether an image has more than 8 bits of colour: rgb16 or rgb_float.
bool is_deep(const Image& image);

/// What a model is shown: rgb_float where there is deep colour, else rgb.
Image convert_for_model(const Image& image);

/// 16-bit gray to 8 bits by scaling: round(v * 255 / 65535). Other formats pass through.
Image scale_gray16(Image image);

/// Pillow's "RGBA" to "RGBa" and "LA" to "La": colour times alpha / 255, rounded.
void premultiply(Image& image);

/// The way back: min(255, 255 * colour / alpha) rounded down; colour stays where alpha is 0 or 255.
void unpremultiply(Image& image);

/// Pillow's DIV255: value / 255 rounded, for 0 <= value <= 255 * 255.
constexpr std::uint8_t divide_by_255(std::uint32_t value) {
  const std::uint32_t rounded = value + 128;
  return static_cast<std::uint8_t>(((rounded >> 8U) + rounded) >> 8U);
}

}  // namespace flux2
