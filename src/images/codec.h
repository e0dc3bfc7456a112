#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "flux2/image.h"

namespace flux2 {

/// Pillow refuses larger pictures as decompression bombs (2 * MAX_IMAGE_PIXELS).
inline constexpr std::int64_t kMaxPixels = 178'956'970;

using Bytes = std::span<const std::uint8_t>;

/// What a file says beside its pixels.
struct FileMetadata {
  std::vector<std::uint8_t> exif;  ///< TIFF structure, without a leading "Exif\0\0"; may be damaged
  std::string xmp;                 ///< XML; empty if none
  ImageText text;                  ///< PNG text chunks
};

/// A file as it was decoded: pixels as stored, orientation not yet applied.
struct DecodedFile {
  Image image;  ///< no pixels if only the metadata was asked for
  FileMetadata metadata;
};

enum class DecodeScope { everything, metadata_only };

/// Readers. `name` is the file's name in errors.
/// @throws Error bad_file: damaged, truncated, too many pixels
DecodedFile decode_png(Bytes bytes, const std::string& name, DecodeScope scope);
DecodedFile decode_jpeg(Bytes bytes, const std::string& name, DecodeScope scope);
DecodedFile decode_webp(Bytes bytes, const std::string& name, DecodeScope scope);

/// Writers of a valid image (require_valid) of at most 8 bits, or 16-bit gray, to a whole file in
/// memory.
/// @throws Error invalid_request: what the format cannot hold
std::vector<std::uint8_t> encode_png(const Image& image, const ImageText& text,
                                     const std::string& name);
/// @param image  rgb or gray
/// @param exif   TIFF structure; empty for none
std::vector<std::uint8_t> encode_jpeg(const Image& image, Bytes exif, const std::string& name);
/// @param image  rgb or rgba
std::vector<std::uint8_t> encode_webp(const Image& image, Bytes exif, const std::string& name);

/// @throws Error bad_file: no pixels, or more than kMaxPixels
void require_readable_size(std::int64_t width, std::int64_t height, const std::string& name);

/// An image of zero bytes (black, transparent, index 0) of width * height * bytes_per_pixel.
Image blank_image(int width, int height, PixelFormat format);

}  // namespace flux2
