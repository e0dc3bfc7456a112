#include "flux2/image.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string_view>

#include "base/atomic_file.h"
#include "base/mapped_file.h"
#include "flux2/error.h"
#include "images/codec.h"
#include "images/convert.h"
#include "images/exif.h"
#include "images/geometry.h"
#include "images/text_encoding.h"

namespace flux2 {
namespace {

constexpr const char* kParameters = "parameters";

DecodedFile decode_file(Bytes bytes, const std::string& name, DecodeScope scope) {
  const std::string_view head(reinterpret_cast<const char*>(bytes.data()),
                              std::min<std::size_t>(bytes.size(), 12));
  if (head.starts_with("\x89PNG")) return decode_png(bytes, name, scope);
  if (head.starts_with("\xFF\xD8\xFF")) return decode_jpeg(bytes, name, scope);
  if (head.starts_with("RIFF") && head.ends_with("WEBP")) return decode_webp(bytes, name, scope);
  throw Error(ErrorCode::bad_file,
              bytes.empty() ? "the file is empty" : "this is not a PNG, JPEG or WebP picture", name,
              "convert it to PNG, JPEG or WebP");
}

Bytes as_bytes(const MappedFile& file) {
  const auto bytes = file.bytes();
  return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}

// EXIF first, then XMP, as Pillow's Image.getexif.
int orientation_of(const FileMetadata& metadata) {
  if (const auto value = parse_exif(metadata.exif).orientation) return *value;
  return xmp_orientation(metadata.xmp).value_or(1);
}

std::string lower_ending(const std::filesystem::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return ending;
}

std::vector<std::uint8_t> exif_of(const ImageText& text, const std::string& name) {
  const auto parameters = text.find(kParameters);
  if (parameters == text.end()) return {};
  if (!is_utf8(parameters->second)) {
    throw Error(ErrorCode::invalid_request, "the text \"parameters\" is not valid UTF-8", name);
  }
  return exif_with_comment(parameters->second);
}

bool has_alpha(const Image& image) {
  return image.format == PixelFormat::rgba || image.format == PixelFormat::gray_alpha;
}

std::vector<std::uint8_t> encode_as_jpeg(const Image& image, const ImageText& text,
                                         const std::string& name) {
  if (has_alpha(image)) {
    throw Error(ErrorCode::invalid_request, "a JPEG holds no transparency", name,
                "save as PNG or WebP");
  }
  const bool gray = image.format == PixelFormat::gray || image.format == PixelFormat::gray16 ||
                    image.format == PixelFormat::bilevel;
  const Image scaled = scale_gray16(image);
  const Image plain = gray ? convert_to_gray(scaled) : convert_to_rgb(scaled);
  return encode_jpeg(plain, exif_of(text, name), name);
}

std::vector<std::uint8_t> encode_as_webp(const Image& image, const ImageText& text,
                                         const std::string& name) {
  const Image scaled = scale_gray16(image);
  const Image plain = has_alpha(image) ? convert_to_rgba(scaled) : convert_to_rgb(scaled);
  return encode_webp(plain, exif_of(text, name), name);
}

}  // namespace

int bytes_per_pixel(PixelFormat format) {
  switch (format) {
    case PixelFormat::rgb:
      return 3;
    case PixelFormat::rgba:
      return 4;
    case PixelFormat::rgb16:
      return 6;
    case PixelFormat::rgb_float:
      return 12;
    case PixelFormat::gray_alpha:
    case PixelFormat::gray16:
      return 2;
    case PixelFormat::gray:
    case PixelFormat::bilevel:
    case PixelFormat::palette:
      break;
  }
  return 1;
}

void require_readable_size(std::int64_t width, std::int64_t height, const std::string& name) {
  if (width <= 0 || height <= 0) {
    throw Error(ErrorCode::bad_file, fmt::format("the picture has no pixels: {}x{}", width, height),
                name);
  }
  if (width > kMaxPixels / height) {
    throw Error(ErrorCode::bad_file,
                fmt::format("the picture is too large: {}x{} is more than {} pixels", width, height,
                            kMaxPixels),
                name, "scale it down first");
  }
}

Image blank_image(int width, int height, PixelFormat format) {
  Image image;
  image.width = width;
  image.height = height;
  image.format = format;
  image.pixels.resize(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) *
                      static_cast<std::size_t>(bytes_per_pixel(format)));
  return image;
}

Image decode_image(std::span<const std::uint8_t> bytes, const std::string& name,
                   const ImageLoadOptions& options) {
  DecodedFile file = decode_file(bytes, name, DecodeScope::everything);
  Image image = std::move(file.image);
  if (options.orientation == Orientation::apply) {
    image = oriented(std::move(image), orientation_of(file.metadata));
  }
  return options.gray16 == Gray16::scale ? scale_gray16(std::move(image)) : image;
}

Image load_image(const std::filesystem::path& path, const ImageLoadOptions& options) {
  const MappedFile file(path);
  Image image = decode_image(as_bytes(file), path.string(), options);
  image.file = path.string();
  return image;
}

ImageText load_image_text(const std::filesystem::path& path) {
  const MappedFile mapped(path);
  DecodedFile file = decode_file(as_bytes(mapped), path.string(), DecodeScope::metadata_only);
  ImageText text = std::move(file.metadata.text);
  if (auto comment = parse_exif(file.metadata.exif).user_comment) {
    text.try_emplace(kParameters, std::move(*comment));
  }
  return text;
}

void save_image(const Image& image, const std::filesystem::path& path, const ImageText& text) {
  const std::string name = path.string();
  require_valid(image, name);
  const std::string ending = lower_ending(path);
  std::vector<std::uint8_t> bytes;
  if (ending == ".png") {
    bytes = encode_png(is_deep(image) ? convert_to_rgb(image) : image, text, name);
  } else if (ending == ".jpg" || ending == ".jpeg") {
    bytes = encode_as_jpeg(image, text, name);
  } else if (ending == ".webp") {
    bytes = encode_as_webp(image, text, name);
  } else {
    throw Error(ErrorCode::invalid_request,
                fmt::format("no picture format has the ending \"{}\"", ending), name,
                "use .png, .jpg, .jpeg or .webp");
  }
  write_file(path, std::as_bytes(std::span(bytes)));
}

}  // namespace flux2
