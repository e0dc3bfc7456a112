#include <fmt/format.h>
#include <png.h>

#include <algorithm>
#include <array>
#include <bit>

#include "flux2/error.h"
#include "images/codec.h"
#include "images/error_trap.h"
#include "images/text_encoding.h"

namespace flux2 {
namespace {

struct Sink {
  std::vector<std::uint8_t> bytes;
  ErrorTrap trap;
};

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  static_cast<Sink*>(png_get_error_ptr(png))->trap.fail(message);
}

void on_warning(png_structp, png_const_charp) {}

void on_write(png_structp png, png_bytep data, std::size_t size) {
  auto& sink = *static_cast<Sink*>(png_get_io_ptr(png));
  bool stored = true;
  try {
    sink.bytes.insert(sink.bytes.end(), data, data + size);
  } catch (const std::exception&) {
    stored = false;  // an exception must not cross libpng's frames
  }
  if (!stored) png_error(png, "out of memory");
}

void on_flush(png_structp) {}

struct Layout {
  int color;
  int depth;
};

Layout layout_of(PixelFormat format) {
  switch (format) {
    case PixelFormat::rgba:
      return {PNG_COLOR_TYPE_RGB_ALPHA, 8};
    case PixelFormat::gray:
      return {PNG_COLOR_TYPE_GRAY, 8};
    case PixelFormat::gray_alpha:
      return {PNG_COLOR_TYPE_GRAY_ALPHA, 8};
    case PixelFormat::bilevel:
      return {PNG_COLOR_TYPE_GRAY, 1};
    case PixelFormat::palette:
      return {PNG_COLOR_TYPE_PALETTE, 8};
    case PixelFormat::gray16:
      return {PNG_COLOR_TYPE_GRAY, 16};
    case PixelFormat::rgb:
    case PixelFormat::rgb16:
    case PixelFormat::rgb_float:
      break;
  }
  return {PNG_COLOR_TYPE_RGB, 8};
}

// A text chunk ready for libpng, with the strings that it points into.
struct TextChunk {
  std::string key;
  std::string value;
  int compression;
};

// Latin-1 text goes into tEXt, all other into iTXt: what Pillow and the A1111 family write.
TextChunk text_chunk(const std::string& key, const std::string& value, const std::string& name) {
  const auto reject = [&](const char* why) {
    std::string shown = key;  // an error is one line
    std::replace_if(
        shown.begin(), shown.end(), [](char c) { return static_cast<unsigned char>(c) < 32; }, '?');
    throw Error(ErrorCode::invalid_request, fmt::format("PNG text \"{}\" {}", shown, why), name);
  };
  auto latin1_key = latin1_from_utf8(key);
  if (!latin1_key || latin1_key->empty() || latin1_key->size() > 79) {
    reject("needs a keyword of 1 to 79 Latin-1 characters");
  }
  char previous = ' ';  // no space at the start, none at the end, no two in a row
  for (const char c : *latin1_key) {
    const auto code = static_cast<unsigned char>(c);
    if (code < 32 || (code > 126 && code < 161) || (c == ' ' && previous == ' ')) {
      reject("has a keyword with characters that PNG does not allow");
    }
    previous = c;
  }
  if (previous == ' ') reject("has a keyword that ends in a space");
  if (value.find('\0') != std::string::npos) reject("contains a zero byte");
  if (!is_utf8(value)) reject("is not valid UTF-8");
  if (auto latin1 = latin1_from_utf8(value)) {
    return {std::move(*latin1_key), std::move(*latin1), PNG_TEXT_COMPRESSION_NONE};
  }
  return {std::move(*latin1_key), value, PNG_ITXT_COMPRESSION_NONE};
}

class PngWriter {
 public:
  explicit PngWriter(const std::string& name) : name_(name) {
    png_ = png_create_write_struct(PNG_LIBPNG_VER_STRING, &sink_, on_error, on_warning);
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
    if (info_ == nullptr) {
      png_destroy_write_struct(&png_, nullptr);
      throw Error(ErrorCode::out_of_memory, "no memory for a PNG writer", name_);
    }
  }
  ~PngWriter() { png_destroy_write_struct(&png_, &info_); }
  PngWriter(const PngWriter&) = delete;
  PngWriter& operator=(const PngWriter&) = delete;

  std::vector<std::uint8_t> write(const Image& image, const ImageText& text);

 private:
  void set_header(const Image& image);
  void set_text(const ImageText& text);

  template <class Step>
  void guarded(const Step& step) {
    if (sink_.trap.run(step)) return;
    throw Error(ErrorCode::invalid_request,
                fmt::format("cannot make a PNG of this image: {}", sink_.trap.message()), name_);
  }

  const std::string& name_;
  Sink sink_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

void PngWriter::set_header(const Image& image) {
  guarded([this, &image] {
    const Layout layout = layout_of(image.format);
    png_set_write_fn(png_, &sink_, on_write, on_flush);
    png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_IHDR(png_, info_, static_cast<png_uint_32>(image.width),
                 static_cast<png_uint_32>(image.height), layout.depth, layout.color,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (image.format != PixelFormat::palette) return;
    std::array<png_color, 256> colors;
    const std::size_t count = image.palette.size() / 3;
    for (std::size_t i = 0; i < count; ++i) {
      colors[i] = {image.palette[3 * i], image.palette[3 * i + 1], image.palette[3 * i + 2]};
    }
    png_set_PLTE(png_, info_, colors.data(), static_cast<int>(count));
  });
}

void PngWriter::set_text(const ImageText& text) {
  std::vector<TextChunk> chunks;
  chunks.reserve(text.size());
  for (const auto& [key, value] : text)
    chunks.push_back(text_chunk(key, value, name_));
  std::vector<png_text> views;
  for (TextChunk& chunk : chunks) {
    png_text view{};
    view.compression = chunk.compression;
    view.key = chunk.key.data();
    view.text = chunk.value.data();
    view.text_length = chunk.value.size();
    views.push_back(view);
  }
  guarded([&] { png_set_text(png_, info_, views.data(), static_cast<int>(views.size())); });
}

std::vector<std::uint8_t> PngWriter::write(const Image& image, const ImageText& text) {
  set_header(image);
  set_text(text);
  guarded([this, &image] {
    png_write_info(png_, info_);
    // one bit a pixel in the file: packing makes a 1 of every nonzero byte
    if (image.format == PixelFormat::bilevel) png_set_packing(png_);
    if constexpr (std::endian::native == std::endian::little) {
      if (image.format == PixelFormat::gray16) png_set_swap(png_);
    }
    const std::size_t height = static_cast<std::size_t>(image.height);
    const std::size_t stride = image.pixels.size() / height;
    for (std::size_t y = 0; y < height; ++y)
      png_write_row(png_, &image.pixels[y * stride]);
    png_write_end(png_, info_);
  });
  return std::move(sink_.bytes);
}

}  // namespace

std::vector<std::uint8_t> encode_png(const Image& image, const ImageText& text,
                                     const std::string& name) {
  return PngWriter(name).write(image, text);
}

}  // namespace flux2
