#include <fmt/format.h>
#include <png.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>

#include "flux2/error.h"
#include "images/codec.h"
#include "images/error_trap.h"
#include "images/exif.h"
#include "images/text_encoding.h"

namespace flux2 {
namespace {

// Deflate cannot shrink by more than this, so a short file cannot hold a huge picture.
constexpr std::int64_t kMaxDeflateRatio = 1032;

// Where libpng reads from and what it complains to.
struct Source {
  Bytes rest;
  ErrorTrap trap;
};

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  static_cast<Source*>(png_get_error_ptr(png))->trap.fail(message);
}

void on_warning(png_structp, png_const_charp) {}

void on_read(png_structp png, png_bytep target, std::size_t size) {
  auto& source = *static_cast<Source*>(png_get_io_ptr(png));
  if (source.rest.size() < size) png_error(png, "the file ends too early");
  std::memcpy(target, source.rest.data(), size);
  source.rest = source.rest.subspan(size);
}

struct Header {
  png_uint_32 width = 0;
  png_uint_32 height = 0;
  int depth = 0;
  int color = 0;
};

// The mode in which Pillow opens a PNG: PngImagePlugin._MODES.
PixelFormat format_of(const Header& header) {
  switch (header.color) {
    case PNG_COLOR_TYPE_GRAY:
      return header.depth == 1    ? PixelFormat::bilevel
             : header.depth == 16 ? PixelFormat::gray16
                                  : PixelFormat::gray;
    case PNG_COLOR_TYPE_PALETTE:
      return PixelFormat::palette;
    case PNG_COLOR_TYPE_GRAY_ALPHA:
      return header.depth == 16 ? PixelFormat::rgba : PixelFormat::gray_alpha;
    case PNG_COLOR_TYPE_RGB_ALPHA:
      return PixelFormat::rgba;
    default:
      return PixelFormat::rgb;
  }
}

class PngReader {
 public:
  PngReader(Bytes bytes, const std::string& name) : name_(name), size_(bytes.size()) {
    source_.rest = bytes;
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &source_, on_error, on_warning);
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
    if (info_ == nullptr) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      throw Error(ErrorCode::out_of_memory, "no memory for a PNG reader", name_);
    }
  }
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  void read_header();
  Image read_pixels();
  void skip_pixels();
  FileMetadata read_rest();

 private:
  template <class Step>
  void guarded(const Step& step) {
    if (source_.trap.run(step)) return;
    throw Error(ErrorCode::bad_file,
                fmt::format("the PNG is damaged or cut short: {}", source_.trap.message()), name_,
                "copy or download the file again");
  }
  void set_transforms();
  std::vector<std::uint8_t> read_palette();
  void read_text(FileMetadata& metadata);

  const std::string& name_;
  std::size_t size_;
  Source source_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  Header header_;
};

void PngReader::read_header() {
  guarded([this] {
    png_set_read_fn(png_, &source_, on_read);
    png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // kMaxPixels decides
    png_set_crc_action(png_, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_read_info(png_, info_);
    png_get_IHDR(png_, info_, &header_.width, &header_.height, &header_.depth, &header_.color,
                 nullptr, nullptr, nullptr);
  });
  require_readable_size(header_.width, header_.height, name_);
  const auto raw = static_cast<std::int64_t>(png_get_rowbytes(png_, info_)) * header_.height;
  if (raw / kMaxDeflateRatio > static_cast<std::int64_t>(size_)) {
    throw Error(ErrorCode::bad_file,
                fmt::format("the PNG is cut short: {} bytes cannot hold {}x{} pixels", size_,
                            header_.width, header_.height),
                name_, "copy or download the file again");
  }
}

// Bits become bytes, high bytes of 16-bit colour are kept; a tRNS chunk changes nothing, as in
// Pillow, where it is a side note.
void PngReader::set_transforms() {
  const bool gray = header_.color == PNG_COLOR_TYPE_GRAY;
  if (gray && header_.depth == 16) {
    if constexpr (std::endian::native == std::endian::little) png_set_swap(png_);
  } else if (header_.depth == 16) {
    png_set_strip_16(png_);
    if (header_.color == PNG_COLOR_TYPE_GRAY_ALPHA) png_set_gray_to_rgb(png_);
  } else if (gray && header_.depth < 8) {
    png_set_expand_gray_1_2_4_to_8(png_);
  } else {
    png_set_packing(png_);
  }
}

std::vector<std::uint8_t> PngReader::read_palette() {
  png_colorp colors = nullptr;
  int count = 0;
  png_get_PLTE(png_, info_, &colors, &count);
  std::vector<std::uint8_t> palette;
  for (int i = 0; i < count; ++i) {
    palette.insert(palette.end(), {colors[i].red, colors[i].green, colors[i].blue});
  }
  return palette;
}

Image PngReader::read_pixels() {
  int passes = 1;
  guarded([this, &passes] {
    set_transforms();
    passes = png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
  });
  Image image = blank_image(static_cast<int>(header_.width), static_cast<int>(header_.height),
                            format_of(header_));
  const std::size_t stride = png_get_rowbytes(png_, info_);
  if (stride * header_.height != image.pixels.size()) {
    throw Error(ErrorCode::internal, "libpng gives rows of an unexpected size", name_);
  }
  if (image.format == PixelFormat::palette) image.palette = read_palette();
  std::uint8_t* const pixels = image.pixels.data();
  guarded([this, passes, pixels, stride] {
    for (int pass = 0; pass < passes; ++pass) {
      for (std::size_t y = 0; y < header_.height; ++y) {
        png_read_row(png_, pixels + y * stride, nullptr);
      }
    }
  });
  return image;
}

// png_read_end() passes over the pixel data itself, but only once reading has begun.
void PngReader::skip_pixels() {
  guarded([this] { png_read_update_info(png_, info_); });
}

void PngReader::read_text(FileMetadata& metadata) {
  png_textp chunks = nullptr;
  int count = 0;
  png_get_text(png_, info_, &chunks, &count);
  for (int i = 0; i < count; ++i) {
    const png_text& chunk = chunks[i];
    const bool unicode = chunk.compression >= PNG_ITXT_COMPRESSION_NONE;
    const std::string_view value(chunk.text, unicode ? chunk.itxt_length : chunk.text_length);
    if (unicode && !is_utf8(value)) continue;
    metadata.text[utf8_from_latin1(chunk.key)] =
        unicode ? std::string(value) : utf8_from_latin1(value);
  }
}

FileMetadata PngReader::read_rest() {
  guarded([this] {
    // A damaged note behind the pixels is dropped, as Pillow does; the pixels are complete.
    png_set_crc_action(png_, PNG_CRC_DEFAULT, PNG_CRC_WARN_DISCARD);
    png_read_end(png_, info_);
  });
  FileMetadata metadata;
  read_text(metadata);
  png_uint_32 size = 0;
  png_bytep exif = nullptr;
  if (png_get_eXIf_1(png_, info_, &size, &exif) != 0) metadata.exif.assign(exif, exif + size);
  if (const auto raw = metadata.text.find("Raw profile type exif");
      metadata.exif.empty() && raw != metadata.text.end()) {
    metadata.exif = exif_from_raw_profile(raw->second);
  }
  if (const auto xmp = metadata.text.find("XML:com.adobe.xmp"); xmp != metadata.text.end()) {
    metadata.xmp = xmp->second;
  }
  return metadata;
}

}  // namespace

DecodedFile decode_png(Bytes bytes, const std::string& name, DecodeScope scope) {
  PngReader reader(bytes, name);
  DecodedFile file;
  reader.read_header();
  if (scope == DecodeScope::everything) {
    file.image = reader.read_pixels();
  } else {
    reader.skip_pixels();
  }
  file.metadata = reader.read_rest();
  return file;
}

}  // namespace flux2
