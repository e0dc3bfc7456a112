#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "flux2/export.h"

namespace FLUX2_API flux2 {

/// How an Image stores a pixel. The modes are Pillow's, because what a reference image becomes
/// (resampling, dropping alpha, palettes) depends on the mode that it was stored in.
enum class PixelFormat {
  rgb,         ///< 3 bytes: Pillow "RGB"
  rgba,        ///< 4 bytes, alpha not premultiplied: "RGBA"
  gray,        ///< 1 byte: "L"
  gray_alpha,  ///< 2 bytes: "LA"
  bilevel,     ///< 1 byte, 0 or 255: "1"
  palette,     ///< 1 byte, an index into `palette`: "P"
  gray16,      ///< 2 bytes, native order: "I;16"
  rgb16,       ///< 3 values of 16 bits in native order, 0 to 65535; Pillow has none
  /// 3 floats in native order, 0 to 1: numpy arrays and tensors in Diffusers. Such a picture
  /// reaches the VAE without being rounded to 8 bits, and so does rgb16.
  rgb_float,
};

/// Bytes that one pixel of `format` takes.
int bytes_per_pixel(PixelFormat format);

/// A picture in memory: rows from top to bottom, pixels from left to right, no padding.
struct Image {
  int width = 0;                          ///< pixels
  int height = 0;                         ///< pixels
  PixelFormat format = PixelFormat::rgb;  ///< of `pixels`
  std::vector<std::uint8_t> pixels;       ///< width * height * bytes_per_pixel(format) bytes
  std::vector<std::uint8_t> palette;  ///< only for `palette`: RGB, 3 bytes an entry, at most 256
  std::string file;  ///< where it was read from, for messages and metadata; empty if it was not
};

/// Text that travels with a picture: PNG text chunks, keyword to UTF-8 value.
using ImageText = std::map<std::string, std::string>;

/// What reading does with 16-bit gray, which no later stage works in.
enum class Gray16 {
  scale,  ///< to 8 bits, 0..65535 becoming 0..255: the picture that the file shows
  keep,   ///< stays `gray16`; converting it clips every value over 255 to white, as Pillow does
};

/// What reading does with the orientation that a camera noted in EXIF (or XMP).
enum class Orientation {
  apply,   ///< turn the pixels upright, as Diffusers' `load_image` does
  ignore,  ///< leave the pixels as stored, as `PIL.Image.open` does
};

/// How to read a picture. The defaults suit a person's files; `keep` and `ignore` together give
/// exactly what Pillow hands to a Diffusers pipeline.
struct ImageLoadOptions {
  Gray16 gray16 = Gray16::scale;                 ///< 16-bit gray
  Orientation orientation = Orientation::apply;  ///< of camera pictures
};

/// Reads a PNG, JPEG or WebP file; the content decides, not the name.
///
/// The format is the mode in which Pillow opens the file; 16-bit colour keeps its high bytes, CMYK
/// becomes RGB, of an animation the first frame is taken. By default EXIF orientation is applied
/// and 16-bit gray is scaled (Pillow would clip it to white; docs/differences.md).
/// @throws Error bad_file: missing, truncated, damaged or unknown file, more than 178 956 970
/// pixels
Image load_image(const std::filesystem::path& path, const ImageLoadOptions& options = {});

/// The same from bytes in memory; `name` stands in for the path in errors.
Image decode_image(std::span<const std::uint8_t> bytes, const std::string& name,
                   const ImageLoadOptions& options = {});

/// The text chunks of a PNG (tEXt, zTXt, iTXt) as UTF-8; of a JPEG or WebP the EXIF user comment
/// under the key "parameters". Empty where there is none. The pixels are not decoded.
/// @throws Error bad_file, as load_image
ImageText load_image_text(const std::filesystem::path& path);

/// Writes .png, .jpg/.jpeg (quality 95, 4:4:4) or .webp (lossless), by the ending of `path`: to a
/// temporary name in the same folder, then renamed, so that no half-written file is ever seen.
///
/// PNG keeps every format but `rgb16` and `rgb_float`, which are rounded to 8 bits; JPEG and WebP
/// get palettes resolved and 16-bit gray scaled.
/// @param image  in any format
/// @param path   of the new file; one that exists is replaced
/// @param text   UTF-8, written as PNG text chunks; JPEG and WebP carry only "parameters", as the
///               EXIF user comment (JPEG: at most 32 000 UTF-16 units)
/// @throws Error bad_file: folder missing or full; invalid_request: unknown ending, 0-pixel or
///               inconsistent image, alpha in a JPEG, a side too long for the format, text that is
///               not UTF-8, a keyword that PNG does not allow
void save_image(const Image& image, const std::filesystem::path& path, const ImageText& text = {});

}  // namespace flux2
