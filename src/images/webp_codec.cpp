#include <fmt/format.h>
#include <webp/decode.h>
#include <webp/encode.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string_view>

#include "flux2/error.h"
#include "images/codec.h"

namespace flux2 {
namespace {

constexpr std::size_t kRiffHeader = 12;  // "RIFF", size, "WEBP"
constexpr std::size_t kChunkHeader = 8;  // four characters, size
constexpr std::size_t kFrameHeader = 16;
constexpr std::uint8_t kExifFlag = 0x08;
constexpr std::uint8_t kAlphaFlag = 0x10;

[[noreturn]] void damaged(const std::string& name, std::string_view why) {
  throw Error(ErrorCode::bad_file, fmt::format("the WebP is damaged or cut short: {}", why), name,
              "copy or download the file again");
}

std::size_t little_endian(Bytes bytes) {
  std::size_t value = 0;
  for (std::size_t i = bytes.size(); i > 0; --i)
    value = value << 8U | bytes[i - 1];
  return value;
}

// The chunks inside the RIFF container,
// https://developers.google.com/speed/webp/docs/riff_container
class Container {
 public:
  Container(Bytes file, const std::string& name) {
    if (file.size() < kRiffHeader) damaged(name, "no header");
    const std::size_t size = little_endian(file.subspan(4, 4));
    if (size < 4 || size + 8 > file.size()) damaged(name, "shorter than its header says");
    chunks_ = file.subspan(kRiffHeader, size - 4);
  }

  // The first chunk of this name, without its header.
  std::optional<Bytes> find(std::string_view fourcc) const {
    for (Bytes rest = chunks_; rest.size() >= kChunkHeader;) {
      const std::string_view id(reinterpret_cast<const char*>(rest.data()), 4);
      const std::size_t size = little_endian(rest.subspan(4, 4));
      if (size > rest.size() - kChunkHeader) return std::nullopt;
      if (id == fourcc) return rest.subspan(kChunkHeader, size);
      rest = rest.subspan(std::min(rest.size(), kChunkHeader + size + size % 2));
    }
    return std::nullopt;
  }

 private:
  Bytes chunks_;
};

WebPBitstreamFeatures features_of(Bytes bytes, const std::string& name) {
  WebPBitstreamFeatures features{};
  if (WebPGetFeatures(bytes.data(), bytes.size(), &features) != VP8_STATUS_OK) {
    damaged(name, "no readable picture header");
  }
  return features;
}

// Where in an image a bitstream is painted.
struct Placement {
  std::size_t x = 0;
  std::size_t y = 0;
};

void paint(Bytes bitstream, Placement at, Image& image, const std::string& name) {
  const WebPBitstreamFeatures features = features_of(bitstream, name);
  const auto canvas_width = static_cast<std::size_t>(image.width);
  const auto canvas_height = static_cast<std::size_t>(image.height);
  if (at.x + static_cast<std::size_t>(features.width) > canvas_width ||
      at.y + static_cast<std::size_t>(features.height) > canvas_height) {
    damaged(name, "a frame reaches outside the picture");
  }
  const auto channels = static_cast<std::size_t>(bytes_per_pixel(image.format));
  const std::size_t offset = (at.y * canvas_width + at.x) * channels;
  const int stride = image.width * static_cast<int>(channels);
  std::uint8_t* const target = image.pixels.data() + offset;
  const std::size_t room = image.pixels.size() - offset;
  const std::uint8_t* done =
      image.format == PixelFormat::rgba
          ? WebPDecodeRGBAInto(bitstream.data(), bitstream.size(), target, room, stride)
          : WebPDecodeRGBInto(bitstream.data(), bitstream.size(), target, room, stride);
  if (done == nullptr) damaged(name, "the pixels cannot be decoded");
}

// The first frame of an animation on an empty canvas, as Pillow shows it.
void paint_first_frame(const Container& container, Image& image, const std::string& name) {
  const auto frame = container.find("ANMF");
  if (!frame || frame->size() < kFrameHeader) damaged(name, "an animation without frames");
  const Placement at{2 * little_endian(frame->first(3)), 2 * little_endian(frame->subspan(3, 3))};
  paint(frame->subspan(kFrameHeader), at, image, name);
}

FileMetadata metadata_of(const Container& container) {
  FileMetadata metadata;
  if (const auto exif = container.find("EXIF")) metadata.exif.assign(exif->begin(), exif->end());
  if (const auto xmp = container.find("XMP ")) metadata.xmp.assign(xmp->begin(), xmp->end());
  return metadata;
}

class RiffWriter {
 public:
  void number(std::size_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
      bytes_.push_back(static_cast<std::uint8_t>(value >> 8U * i));
    }
  }
  void text(std::string_view text) { bytes_.insert(bytes_.end(), text.begin(), text.end()); }
  void chunk(std::string_view fourcc, Bytes data) {
    text(fourcc);
    number(data.size(), 4);
    bytes_.insert(bytes_.end(), data.begin(), data.end());
    if (data.size() % 2 != 0) bytes_.push_back(0);
  }
  std::vector<std::uint8_t> take() { return std::move(bytes_); }

 private:
  std::vector<std::uint8_t> bytes_;
};

// A simple file ("RIFF" size "WEBP" chunk) rewritten as an extended one with an EXIF chunk.
std::vector<std::uint8_t> with_exif(Bytes simple, const Image& image, Bytes exif) {
  const auto flags =
      static_cast<std::uint8_t>(kExifFlag | (image.format == PixelFormat::rgba ? kAlphaFlag : 0));
  RiffWriter features;
  features.number(flags, 4);
  features.number(static_cast<std::size_t>(image.width - 1), 3);
  features.number(static_cast<std::size_t>(image.height - 1), 3);
  const std::vector<std::uint8_t> vp8x = features.take();

  RiffWriter chunks;
  chunks.text("WEBP");
  chunks.chunk("VP8X", vp8x);
  const Bytes bitstream = simple.subspan(kRiffHeader);
  chunks.text({reinterpret_cast<const char*>(bitstream.data()), bitstream.size()});
  chunks.chunk("EXIF", exif);
  const std::vector<std::uint8_t> body = chunks.take();

  RiffWriter file;
  file.chunk("RIFF", body);
  return file.take();
}

struct EncoderMemory {
  WebPPicture picture{};
  WebPMemoryWriter writer{};
  EncoderMemory() { WebPMemoryWriterInit(&writer); }
  ~EncoderMemory() {
    WebPPictureFree(&picture);
    WebPMemoryWriterClear(&writer);
  }
  EncoderMemory(const EncoderMemory&) = delete;
  EncoderMemory& operator=(const EncoderMemory&) = delete;
};

}  // namespace

DecodedFile decode_webp(Bytes bytes, const std::string& name, DecodeScope scope) {
  const Container container(bytes, name);
  const WebPBitstreamFeatures features = features_of(bytes, name);
  require_readable_size(features.width, features.height, name);
  DecodedFile file;
  file.metadata = metadata_of(container);
  if (scope == DecodeScope::metadata_only) return file;

  const auto format = features.has_alpha != 0 ? PixelFormat::rgba : PixelFormat::rgb;
  file.image = blank_image(features.width, features.height, format);
  if (features.has_animation != 0) {
    paint_first_frame(container, file.image, name);
  } else {
    paint(bytes, {}, file.image, name);
  }
  return file;
}

std::vector<std::uint8_t> encode_webp(const Image& image, Bytes exif, const std::string& name) {
  const auto fail = [&](std::string_view why) {
    throw Error(ErrorCode::invalid_request,
                fmt::format("cannot make a WebP of this image: {}", why), name);
  };
  if (std::max(image.width, image.height) > WEBP_MAX_DIMENSION) {
    fail(fmt::format("{}x{}, and a side holds at most {}", image.width, image.height,
                     WEBP_MAX_DIMENSION));
  }
  WebPConfig config;
  EncoderMemory memory;
  constexpr int kEffort = 6;  // libwebp's own default for lossless, 0 to 9
  if (WebPConfigInit(&config) == 0 || WebPConfigLosslessPreset(&config, kEffort) == 0 ||
      WebPPictureInit(&memory.picture) == 0) {
    fail("another version of libwebp than this was built with");
  }
  config.exact = 1;  // colour under transparent pixels is kept
  memory.picture.use_argb = 1;
  memory.picture.width = image.width;
  memory.picture.height = image.height;
  memory.picture.writer = WebPMemoryWrite;
  memory.picture.custom_ptr = &memory.writer;
  const int stride = image.width * bytes_per_pixel(image.format);
  const bool imported = image.format == PixelFormat::rgba
                            ? WebPPictureImportRGBA(&memory.picture, image.pixels.data(), stride)
                            : WebPPictureImportRGB(&memory.picture, image.pixels.data(), stride);
  if (!imported || WebPEncode(&config, &memory.picture) == 0) {
    fail(fmt::format("libwebp error {}", static_cast<int>(memory.picture.error_code)));
  }
  const Bytes simple(memory.writer.mem, memory.writer.size);
  if (exif.empty()) return {simple.begin(), simple.end()};
  return with_exif(simple, image, exif);
}

}  // namespace flux2
