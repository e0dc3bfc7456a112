#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flux2 {

/// The two EXIF fields that this program reads. EXIF 2.32, JEITA CP-3451.
struct ExifFields {
  std::optional<int> orientation;           ///< tag 0x0112: 1..8 in a sane file
  std::optional<std::string> user_comment;  ///< tag 0x9286, as UTF-8
};

/// Reads a TIFF structure, with or without "Exif\0\0" before it. What is damaged counts as absent:
/// a broken note about a picture is no reason to refuse the picture.
ExifFields parse_exif(std::span<const std::uint8_t> bytes);

/// `tiff:Orientation` of an XMP packet, which Pillow falls back to; nothing if absent.
std::optional<int> xmp_orientation(std::string_view xmp);

/// EXIF as older ImageMagick hides it in a PNG text chunk, "Raw profile type exif": a name, a
/// length, then hexadecimal lines. Empty if that isn't what `text` holds.
std::vector<std::uint8_t> exif_from_raw_profile(std::string_view text);

/// A big-endian TIFF structure with one user comment in UTF-16, as the A1111 family writes it.
/// @param comment  valid UTF-8
std::vector<std::uint8_t> exif_with_comment(std::string_view comment);

}  // namespace flux2
