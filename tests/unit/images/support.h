#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "flux2/error.h"
#include "flux2/image.h"
#include "images/codec.h"
#include "sha256.h"

namespace flux2::test {

using Json = nlohmann::json;

inline const std::filesystem::path kGoldens =
    std::filesystem::path(FLUX2_SOURCE_DIR) / "tests/goldens/data";
inline const std::filesystem::path kData =
    std::filesystem::path(FLUX2_SOURCE_DIR) / "tests/unit/images/data";

/// What Pillow hands to a pipeline: the pixels as stored.
inline constexpr ImageLoadOptions kAsPillow{.gray16 = Gray16::keep,
                                            .orientation = Orientation::ignore};

inline std::vector<std::uint8_t> read_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

inline Json read_json(const std::filesystem::path& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  return Json::parse(file);
}

/// xorshift32, the second lowest byte of every state: `noise` in make_cases.py.
inline std::vector<std::uint8_t> noise(std::uint32_t state, std::size_t count) {
  std::vector<std::uint8_t> bytes(count);
  for (auto& byte : bytes) {
    state ^= state << 13U;
    state ^= state >> 17U;
    state ^= state << 5U;
    byte = static_cast<std::uint8_t>(state >> 8U);
  }
  return bytes;
}

/// `noise_image` in make_cases.py.
inline Image noise_image(PixelFormat format, int width, int height, std::uint32_t seed) {
  Image image = blank_image(width, height, format);
  image.pixels = noise(seed, image.pixels.size());
  if (format == PixelFormat::palette) image.palette = noise(seed + 1, 768);
  if (format == PixelFormat::bilevel) {
    for (auto& v : image.pixels)
      v = static_cast<std::uint8_t>(v % 2 * 255);
  }
  return image;
}

inline PixelFormat format_of_mode(const std::string& mode) {
  if (mode == "RGB") return PixelFormat::rgb;
  if (mode == "RGBA") return PixelFormat::rgba;
  if (mode == "L") return PixelFormat::gray;
  if (mode == "LA") return PixelFormat::gray_alpha;
  if (mode == "1") return PixelFormat::bilevel;
  if (mode == "P") return PixelFormat::palette;
  EXPECT_EQ(mode, "I;16");
  return PixelFormat::gray16;
}

inline const std::vector<PixelFormat> kAllFormats = {
    PixelFormat::rgb,     PixelFormat::rgba,    PixelFormat::gray,  PixelFormat::gray_alpha,
    PixelFormat::bilevel, PixelFormat::palette, PixelFormat::gray16};

inline std::string sha256(const Image& image) {
  return Sha256::of(image.pixels);
}

/// Expects an Error of this code whose line contains `part`, a single line without control codes.
inline void expect_error(ErrorCode code, const std::string& part,
                         const std::function<void()>& call) {
  try {
    call();
    ADD_FAILURE() << "no error; expected one about \"" << part << '"';
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    const std::string line = error.what();
    EXPECT_NE(line.find(part), std::string::npos) << line;
    EXPECT_EQ(line.find('\n'), std::string::npos) << line;
  }
}

/// A folder that goes away with the test.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "flux2-images-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace flux2::test
