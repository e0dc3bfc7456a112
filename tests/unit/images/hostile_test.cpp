// Files made to hurt: huge and empty sizes, wrong checksums, chunks that lie.
#include <array>

#include "support.h"

namespace flux2 {
namespace {

using namespace test;
using FileBytes = std::vector<std::uint8_t>;

void append(FileBytes& bytes, std::string_view text) {
  for (const char c : text)
    bytes.push_back(static_cast<std::uint8_t>(c));
}

void append_u32(FileBytes& bytes, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    bytes.push_back(static_cast<std::uint8_t>(value >> static_cast<unsigned>(shift)));
  }
}

std::uint32_t crc32(std::span<const std::uint8_t> bytes) {
  std::uint32_t crc = 0xFFFFFFFFU;
  for (const std::uint8_t byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit)
      crc = crc >> 1U ^ (crc % 2 != 0 ? 0xEDB88320U : 0U);
  }
  return ~crc;
}

void append_chunk(FileBytes& png, std::string_view kind, const FileBytes& data) {
  append_u32(png, static_cast<std::uint32_t>(data.size()));
  const std::size_t start = png.size();
  append(png, kind);
  for (const std::uint8_t byte : data)
    png.push_back(byte);
  append_u32(png, crc32(std::span(png).subspan(start)));
}

struct PngHeader {
  std::uint32_t width;
  std::uint32_t height;
  std::uint8_t depth = 8;
  std::uint8_t color = 2;
};

// A PNG whose pixel data is a deflate stream of one stored block of zeros.
FileBytes make_png(const PngHeader& header, std::size_t raw_bytes) {
  FileBytes png;
  append(png, "\x89PNG\r\n\x1a\n");
  FileBytes ihdr;
  append_u32(ihdr, header.width);
  append_u32(ihdr, header.height);
  for (const std::uint8_t byte : {header.depth, header.color})
    ihdr.push_back(byte);
  ihdr.resize(ihdr.size() + 3);  // compression, filter, interlace
  append_chunk(png, "IHDR", ihdr);
  const auto low = static_cast<std::uint8_t>(raw_bytes);
  const auto high = static_cast<std::uint8_t>(raw_bytes >> 8U);
  FileBytes data{0x78,
                 0x01,
                 0x01,
                 low,
                 high,
                 static_cast<std::uint8_t>(~low),
                 static_cast<std::uint8_t>(~high)};
  data.resize(data.size() + raw_bytes);
  append_u32(data, static_cast<std::uint32_t>(raw_bytes) << 16U | 1U);  // adler32 of zeros
  append_chunk(png, "IDAT", data);
  append_chunk(png, "IEND", {});
  return png;
}

void expect_bad(const FileBytes& bytes, const std::string& part) {
  expect_error(ErrorCode::bad_file, part, [&] { decode_image(bytes, "hostile"); });
}

TEST(HostilePng, TheMakerItselfIsRight) {
  const Image image = decode_image(make_png({3, 2}, 20), "good");
  EXPECT_EQ(image.width, 3);
  EXPECT_EQ(image.height, 2);
  EXPECT_EQ(image.pixels, FileBytes(18, 0));
}

TEST(HostilePng, SizesAreCheckedBeforeAllocation) {
  expect_bad(make_png({100'000, 100'000}, 20), "100000x100000 is more than 178956970 pixels");
  expect_bad(make_png({0x7FFFFFFF, 0x7FFFFFFF}, 20), "too large");
  expect_bad(make_png({178'956'971, 1}, 20), "too large");
  // allowed by its area, but no 100 bytes can hold it
  expect_bad(make_png({16'000, 11'000}, 20), "cannot hold 16000x11000 pixels");
  expect_bad(make_png({0, 5}, 20), "hostile");
  expect_bad(make_png({5, 0}, 20), "hostile");
  expect_bad(make_png({0x80000000, 1}, 20), "hostile");
}

TEST(HostilePng, TooFewOrWrongPixels) {
  expect_bad(make_png({3, 2}, 19), "hostile");
  expect_bad(make_png({3, 2, 7, 2}, 20), "hostile");   // 7 bits a sample
  expect_bad(make_png({3, 2, 8, 3}, 20), "hostile");   // a palette image without a palette
  expect_bad(make_png({3, 2, 16, 3}, 20), "hostile");  // a palette of 16 bits
}

TEST(HostilePng, WrongChecksums) {
  FileBytes png = make_png({3, 2}, 20);
  png[8 + 8 + 3] ^= 1;  // the width, under the checksum of IHDR
  expect_bad(png, "CRC");
  png = make_png({3, 2}, 20);
  png[png.size() - 12 - 1] ^= 1;  // the checksum of IDAT
  expect_bad(png, "CRC");
  png = make_png({3, 2}, 20);
  png[png.size() - 12 - 4 - 1] ^= 1;  // adler32, then the CRC no longer fits either
  expect_bad(png, "hostile");
}

TEST(HostilePng, ChunkLengthsThatLie) {
  FileBytes png = make_png({3, 2}, 20);
  png[8 + 25] = 0x7F;  // IDAT claims 2 GB
  expect_bad(png, "hostile");
  FileBytes no_end = make_png({3, 2}, 20);
  no_end.resize(no_end.size() - 12);
  expect_bad(no_end, "ends too early");
}

FileBytes webp_extended(std::uint32_t width, std::uint32_t height) {
  const std::uint32_t w = width - 1;
  const std::uint32_t h = height - 1;
  FileBytes bytes;
  append(bytes, std::string_view("RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0", 24));
  for (const std::uint32_t side : {w, h}) {
    for (unsigned shift = 0; shift < 24; shift += 8) {
      bytes.push_back(static_cast<std::uint8_t>(side >> shift));
    }
  }
  append(bytes, std::string_view("VP8 \0\0\0\0", 8));
  return bytes;
}

TEST(HostileWebp, SizesAndContainers) {
  expect_bad(webp_extended(1U << 24U, 1), "hostile");
  expect_bad(webp_extended(16'383, 16'383), "hostile");
  expect_bad(webp_extended(10, 10), "hostile");
  FileBytes bytes = webp_extended(10, 10);
  bytes[4] = 0xFF;
  bytes[7] = 0xFF;
  expect_bad(bytes, "shorter than its header says");
  // lossless, 14 bits a side: 16383 x 16383 is more than allowed
  FileBytes huge;
  append(huge, std::string_view("RIFF\x12\0\0\0WEBPVP8L\x05\0\0\0\x2f\xfe\xbf\xff\x0f\0", 26));
  expect_bad(huge, "16383x16383 is more than");
}

// Patches the frame header (SOF0 or SOF2) of a JPEG.
FileBytes jpeg_of_size(const std::string& file, unsigned width, unsigned height) {
  FileBytes bytes = read_bytes(kData / file);
  for (std::size_t i = 2; i + 9 < bytes.size();) {
    if (bytes[i + 1] == 0xC0 || bytes[i + 1] == 0xC2) {
      bytes[i + 5] = static_cast<std::uint8_t>(height >> 8U);
      bytes[i + 6] = static_cast<std::uint8_t>(height);
      bytes[i + 7] = static_cast<std::uint8_t>(width >> 8U);
      bytes[i + 8] = static_cast<std::uint8_t>(width);
      return bytes;
    }
    i += 2 + (std::size_t{bytes[i + 2]} << 8U | bytes[i + 3]);
  }
  ADD_FAILURE() << "no frame header in " << file;
  return bytes;
}

TEST(HostileJpeg, Sizes) {
  for (const std::string file : {"rgb-420.jpg", "rgb-progressive.jpg", "gray.jpg"}) {
    SCOPED_TRACE(file);
    expect_bad(jpeg_of_size(file, 65'500, 65'500), "more than 178956970 pixels");
    expect_bad(jpeg_of_size(file, 13'000, 13'000), "cannot hold 13000x13000 pixels");
    expect_bad(jpeg_of_size(file, 0, 10), "hostile");
    expect_bad(jpeg_of_size(file, 10, 0), "hostile");
    // more rows than the data has: gray would be painted for them
    expect_bad(jpeg_of_size(file, 23, 200), "hostile");
  }
}

TEST(HostileExif, DamageCountsAsAbsent) {
  // Every byte of the EXIF block replaced: the picture stays readable and is at worst not turned.
  const FileBytes jpeg = read_bytes(kData / "orientation7.jpg");
  const std::string_view text(reinterpret_cast<const char*>(jpeg.data()), jpeg.size());
  const std::size_t exif = text.find("Exif");
  ASSERT_NE(exif, text.npos);
  for (std::size_t at = exif; at < exif + 32; ++at) {
    for (const int value : {0x00, 0x7F, 0xFF}) {
      FileBytes damaged = jpeg;
      damaged[at] = static_cast<std::uint8_t>(value);
      const Image image = decode_image(damaged, "exif");
      EXPECT_EQ(image.width + image.height, 37);
    }
  }
}

}  // namespace
}  // namespace flux2
