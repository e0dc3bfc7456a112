#include <cstddef>
#include <cstdio>
// jpeglib.h needs the two above
#include <fmt/format.h>
#include <jerror.h>
#include <jpeglib.h>

#include <cstdlib>
#include <cstring>
#include <string_view>

#include "flux2/error.h"
#include "images/codec.h"
#include "images/error_trap.h"

namespace flux2 {
namespace {

constexpr int kQuality = 95;
constexpr int kExifMarker = JPEG_APP0 + 1;
constexpr std::string_view kExifPrefix{"Exif\0\0", 6};
constexpr std::string_view kXmpPrefix{"http://ns.adobe.com/xap/1.0/\0", 29};

// A Huffman-coded block of 64 samples takes at least one bit, so a byte holds at most 512 pixels;
// doubled to stay clear of odd files.
constexpr std::int64_t kMaxPixelsPerByte = 1024;
// Real progressive files have about ten scans; thousands over a large picture are an attack.
constexpr int kMaxScans = 500;

// libjpeg's error manager, with where to jump to.
struct ErrorManager {
  jpeg_error_mgr base;
  ErrorTrap trap;
};

[[noreturn]] void on_error(j_common_ptr codec) {
  char message[JMSG_LENGTH_MAX];
  codec->err->format_message(codec, message);
  reinterpret_cast<ErrorManager*>(codec->err)->trap.fail(message);
}

// Warnings that mean lost pixels are errors here: libjpeg would paint the rest gray. The others
// (stray bytes between segments, say) are passed over, as Pillow does.
void on_message(j_common_ptr codec, int level) {
  if (level >= 0) return;
  switch (codec->err->msg_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_MUST_RESYNC:
      on_error(codec);
    default:
      return;
  }
}

void prepare_errors(ErrorManager& errors) {
  jpeg_std_error(&errors.base);
  errors.base.error_exit = on_error;
  errors.base.emit_message = on_message;
}

void on_progress(j_common_ptr codec) {
  const auto* decoder = reinterpret_cast<j_decompress_ptr>(codec);
  if (decoder->input_scan_number > kMaxScans) {
    reinterpret_cast<ErrorManager*>(codec->err)->trap.fail("too many scans");
  }
}

// Inverted CMYK (Adobe's convention, which Pillow assumes) to RGB: Pillow's cmyk2rgb,
// out = (255 - k) - (255 - k) * ink / 255 with its rounding of the division.
void rgb_from_inverted_cmyk(const std::uint8_t* cmyk, std::uint8_t* rgb, std::size_t pixels) {
  for (std::size_t i = 0; i < pixels; ++i) {
    const unsigned white = cmyk[4 * i + 3];
    for (std::size_t c = 0; c < 3; ++c) {
      const unsigned product = (255U - cmyk[4 * i + c]) * white + 128U;
      rgb[3 * i + c] = static_cast<std::uint8_t>(white - (((product >> 8U) + product) >> 8U));
    }
  }
}

class JpegReader {
 public:
  JpegReader(Bytes bytes, const std::string& name) : name_(name), bytes_(bytes) {
    prepare_errors(errors_);
    codec_.err = &errors_.base;
    guarded([this] { jpeg_create_decompress(&codec_); });
  }
  ~JpegReader() { jpeg_destroy_decompress(&codec_); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  void read_header();
  Image read_pixels();
  FileMetadata metadata() const;

 private:
  template <class Step>
  void guarded(const Step& step) {
    if (errors_.trap.run(step)) return;
    throw Error(ErrorCode::bad_file,
                fmt::format("the JPEG is damaged or cut short: {}", errors_.trap.message()), name_,
                "copy or download the file again");
  }

  const std::string& name_;
  Bytes bytes_;
  ErrorManager errors_{};
  jpeg_progress_mgr progress_{};
  jpeg_decompress_struct codec_{};
};

void JpegReader::read_header() {
  guarded([this] {
    jpeg_mem_src(&codec_, bytes_.data(), bytes_.size());
    jpeg_save_markers(&codec_, kExifMarker, 0xFFFF);
    jpeg_read_header(&codec_, TRUE);
  });
  const std::int64_t width = codec_.image_width;
  const std::int64_t height = codec_.image_height;
  require_readable_size(width, height, name_);
  const int components = codec_.num_components;
  if (components != 1 && components != 3 && components != 4) {
    throw Error(ErrorCode::bad_file, fmt::format("a JPEG of {} components", components), name_,
                "save it as RGB or gray");
  }
  const auto size = static_cast<std::int64_t>(bytes_.size());
  if (codec_.arith_code == FALSE && width * height / kMaxPixelsPerByte > size) {
    throw Error(ErrorCode::bad_file,
                fmt::format("the JPEG is cut short: {} bytes cannot hold {}x{} pixels", size, width,
                            height),
                name_, "copy or download the file again");
  }
}

Image JpegReader::read_pixels() {
  progress_.progress_monitor = on_progress;
  codec_.progress = &progress_;
  const bool gray = codec_.num_components == 1;
  const bool cmyk = codec_.num_components == 4;
  codec_.out_color_space = gray ? JCS_GRAYSCALE : cmyk ? JCS_CMYK : JCS_RGB;

  const std::size_t width = codec_.image_width;
  Image image = blank_image(static_cast<int>(width), static_cast<int>(codec_.image_height),
                            gray ? PixelFormat::gray : PixelFormat::rgb);
  const std::size_t stride = image.pixels.size() / codec_.image_height;
  std::vector<std::uint8_t> ink(cmyk ? 4 * width : 0);
  guarded([&] {
    jpeg_start_decompress(&codec_);
    while (codec_.output_scanline < codec_.output_height) {
      std::uint8_t* const row = &image.pixels[codec_.output_scanline * stride];
      JSAMPROW target = cmyk ? ink.data() : row;
      jpeg_read_scanlines(&codec_, &target, 1);
      if (cmyk) rgb_from_inverted_cmyk(ink.data(), row, width);
    }
    jpeg_finish_decompress(&codec_);
  });
  return image;
}

FileMetadata JpegReader::metadata() const {
  FileMetadata metadata;
  for (const jpeg_marker_struct* marker = codec_.marker_list; marker != nullptr;
       marker = marker->next) {
    const std::string_view data(reinterpret_cast<const char*>(marker->data), marker->data_length);
    if (data.starts_with(kExifPrefix)) {  // long EXIF comes in several segments
      metadata.exif.insert(metadata.exif.end(), data.begin() + kExifPrefix.size(), data.end());
    } else if (data.starts_with(kXmpPrefix)) {
      metadata.xmp = data.substr(kXmpPrefix.size());
    }
  }
  return metadata;
}

class JpegWriter {
 public:
  explicit JpegWriter(const std::string& name) : name_(name) {
    prepare_errors(errors_);
    codec_.err = &errors_.base;
    guarded([this] { jpeg_create_compress(&codec_); });
  }
  ~JpegWriter() {
    jpeg_destroy_compress(&codec_);
    std::free(buffer_);
  }
  JpegWriter(const JpegWriter&) = delete;
  JpegWriter& operator=(const JpegWriter&) = delete;

  std::vector<std::uint8_t> write(const Image& image, Bytes exif_segment);

 private:
  void set_parameters(const Image& image);

  template <class Step>
  void guarded(const Step& step) {
    if (errors_.trap.run(step)) return;
    throw Error(ErrorCode::invalid_request,
                fmt::format("cannot make a JPEG of this image: {}", errors_.trap.message()), name_);
  }

  const std::string& name_;
  ErrorManager errors_{};
  jpeg_compress_struct codec_{};
  unsigned char* buffer_ = nullptr;  // grown by libjpeg with malloc
  unsigned long size_ = 0;
};

void JpegWriter::set_parameters(const Image& image) {
  const bool gray = image.format == PixelFormat::gray;
  codec_.image_width = static_cast<JDIMENSION>(image.width);
  codec_.image_height = static_cast<JDIMENSION>(image.height);
  codec_.input_components = gray ? 1 : 3;
  codec_.in_color_space = gray ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&codec_);
  jpeg_set_quality(&codec_, kQuality, TRUE);
  codec_.optimize_coding = TRUE;
  codec_.comp_info[0].h_samp_factor = 1;  // 4:4:4: every pixel keeps its own colour
  codec_.comp_info[0].v_samp_factor = 1;
}

std::vector<std::uint8_t> JpegWriter::write(const Image& image, Bytes exif_segment) {
  guarded([&] {
    jpeg_mem_dest(&codec_, &buffer_, &size_);
    set_parameters(image);
    jpeg_start_compress(&codec_, TRUE);
    if (!exif_segment.empty()) {
      jpeg_write_marker(&codec_, kExifMarker, exif_segment.data(),
                        static_cast<unsigned>(exif_segment.size()));
    }
    const std::size_t stride = image.pixels.size() / codec_.image_height;
    while (codec_.next_scanline < codec_.image_height) {
      // libjpeg reads through a pointer to non-const
      auto* row = const_cast<JSAMPROW>(&image.pixels[codec_.next_scanline * stride]);
      jpeg_write_scanlines(&codec_, &row, 1);
    }
    jpeg_finish_compress(&codec_);
  });
  return {buffer_, buffer_ + size_};
}

}  // namespace

DecodedFile decode_jpeg(Bytes bytes, const std::string& name, DecodeScope scope) {
  JpegReader reader(bytes, name);
  DecodedFile file;
  reader.read_header();
  file.metadata = reader.metadata();
  if (scope == DecodeScope::everything) file.image = reader.read_pixels();
  return file;
}

std::vector<std::uint8_t> encode_jpeg(const Image& image, Bytes exif, const std::string& name) {
  constexpr std::size_t kMaxSegment = 65533;
  std::vector<std::uint8_t> segment;
  if (!exif.empty()) {
    segment.assign(kExifPrefix.begin(), kExifPrefix.end());
    segment.insert(segment.end(), exif.begin(), exif.end());
  }
  if (segment.size() > kMaxSegment) {
    throw Error(
        ErrorCode::invalid_request,
        fmt::format("the text takes {} bytes, a JPEG holds {}", segment.size(), kMaxSegment), name,
        "save as PNG or WebP, or without the text");
  }
  return JpegWriter(name).write(image, segment);
}

}  // namespace flux2
