#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace flux2 {

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
};

/// Bytes that one pixel of `format` takes.
int bytes_per_pixel(PixelFormat format);

/// A picture in memory: rows from top to bottom, pixels from left to right, no padding.
struct Image {
  int width = 0;   ///< pixels
  int height = 0;  ///< pixels
  PixelFormat format = PixelFormat::rgb;
  std::vector<std::uint8_t> pixels;   ///< width * height * bytes_per_pixel(format) bytes
  std::vector<std::uint8_t> palette;  ///< only for `palette`: 3 bytes an entry, at most 256
};

/// Text that travels with a picture: PNG text chunks, keyword to UTF-8 value.
using ImageText = std::map<std::string, std::string>;

/// Reads a PNG, JPEG or WebP file; the content decides, not the name.
///
/// EXIF orientation is applied, as Diffusers' `load_image` does, and 16-bit gray is scaled to 8
/// bits (Pillow's `convert` would clip it to white; docs/differences.md).
/// @throws Error bad_file: missing, truncated or unknown file, more than 178 956 970 pixels
Image load_image(const std::filesystem::path& path);

/// The same from bytes in memory; `name` stands in for the path in errors.
Image decode_image(std::span<const std::uint8_t> bytes, const std::string& name);

/// The text chunks of a PNG (tEXt, zTXt, iTXt); empty for other formats.
ImageText load_image_text(const std::filesystem::path& path);

/// Writes .png, .jpg/.jpeg (quality 95) or .webp (lossless), by the ending of `path`: to a
/// temporary name in the same folder, then renamed, so that no half-written file is ever seen.
/// @param text  written as PNG text chunks; JPEG and WebP carry "parameters" as an EXIF comment
/// @throws Error bad_file: unknown ending, folder missing or full; invalid_request: 0-pixel image
void save_image(const Image& image, const std::filesystem::path& path, const ImageText& text = {});

}  // namespace flux2
