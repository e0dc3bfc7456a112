// Every file of data/ against what Pillow made of it (decode.json).
#include "images/convert.h"
#include "support.h"

namespace flux2 {
namespace {

using namespace test;

TEST(Decode, OpensEveryFileAsPillowDoes) {
  const Json cases = read_json(kData / "decode.json");
  ASSERT_GE(cases.size(), 45U);
  for (const Json& row : cases) {
    const std::string file = row["file"];
    SCOPED_TRACE(file);
    const Image image = load_image(kData / file, kAsPillow);
    EXPECT_EQ(image.format, format_of_mode(row["mode"]));
    EXPECT_EQ(image.width, row["size"][0]);
    EXPECT_EQ(image.height, row["size"][1]);
    EXPECT_EQ(sha256(image), row["sha256"]);
    EXPECT_EQ(sha256(convert_to_rgb(image)), row["rgb"]);
  }
}

TEST(Decode, TurnsPicturesUprightAsPillowDoes) {
  int turned = 0;
  for (const Json& row : read_json(kData / "decode.json")) {
    const std::string file = row["file"];
    SCOPED_TRACE(file);
    const Image image = load_image(kData / file, {.gray16 = Gray16::keep});
    EXPECT_EQ(image.width, row["upright_size"][0]);
    EXPECT_EQ(image.height, row["upright_size"][1]);
    EXPECT_EQ(sha256(image), row["upright"]);
    turned += row["upright"] != row["sha256"] ? 1 : 0;
  }
  EXPECT_EQ(turned, 10);  // orientations 2 to 8, two in XMP, one in a raw profile
}

TEST(Decode, ScalesSixteenBitGrayUnlessTold) {
  const Image kept = load_image(kData / "gray16.png", kAsPillow);
  const Image scaled = load_image(kData / "gray16.png");
  ASSERT_EQ(kept.format, PixelFormat::gray16);
  ASSERT_EQ(scaled.format, PixelFormat::gray);
  for (std::size_t i = 0; i < scaled.pixels.size(); ++i) {
    const int value = kept.pixels[2 * i] | kept.pixels[2 * i + 1] << 8;
    EXPECT_EQ(scaled.pixels[i], static_cast<int>(value * 255.0 / 65535.0 + 0.5));
  }
}

TEST(Decode, ReadsTextOfEveryKind) {
  const ImageText text = load_image_text(kData / "text.png");
  EXPECT_EQ(text.size(), 3U);
  EXPECT_EQ(text.at("parameters"), "gr\u00fcn\nSteps: 4");
  EXPECT_EQ(text.at("zipped"), std::string(300, 'a'));
  EXPECT_EQ(text.at("unicode"), "\u732b \U0001f408");
  EXPECT_TRUE(load_image_text(kData / "gray.jpg").empty());
  EXPECT_TRUE(load_image_text(kData / "lossy.webp").empty());
}

TEST(Decode, NamesWhatItCannotRead) {
  const auto decode = [](const std::string& text) {
    const std::vector<std::uint8_t> bytes(text.begin(), text.end());
    return decode_image(bytes, "some.file");
  };
  expect_error(ErrorCode::bad_file, "some.file: the file is empty", [&] { decode(""); });
  expect_error(ErrorCode::bad_file, "some.file: this is not a PNG",
               [&] { decode("GIF89a......"); });
  expect_error(ErrorCode::bad_file, "no-such.png", [] { load_image("/no-such.png"); });
  expect_error(ErrorCode::bad_file, "", [] { load_image(kData); });
}

// A prefix of a picture file is never a picture: of every file, cut at each 64th byte and at each
// of its last 16.
TEST(Decode, RefusesTruncatedFiles) {
  std::size_t cut = 0;
  for (const Json& row : read_json(kData / "decode.json")) {
    const std::string file = row["file"];
    const auto bytes = read_bytes(kData / file);
    std::vector<std::size_t> lengths;
    for (std::size_t n = 0; n < bytes.size(); n += 64)
      lengths.push_back(n);
    for (std::size_t n = bytes.size() - 16; n < bytes.size(); ++n)
      lengths.push_back(n);
    for (const std::size_t n : lengths) {
      SCOPED_TRACE(file + " cut to " + std::to_string(n));
      // a copy of exactly that length, so that the address sanitizer sees a read past its end
      const std::vector<std::uint8_t> head(bytes.begin(),
                                           bytes.begin() + static_cast<std::ptrdiff_t>(n));
      expect_error(ErrorCode::bad_file, file, [&] { decode_image(head, file); });
      ++cut;
    }
  }
  EXPECT_GT(cut, 1000U);
}

// Flipped bits must end in a picture or in one clear error.
TEST(Decode, SurvivesDamage) {
  int errors = 0;
  int pictures = 0;
  for (const Json& row : read_json(kData / "decode.json")) {
    const std::string file = row["file"];
    const auto bytes = read_bytes(kData / file);
    const auto random = noise(99, 3 * 150);
    for (std::size_t i = 0; i < 150; ++i) {
      auto damaged = bytes;
      const std::size_t at = (random[3 * i] | std::size_t{random[3 * i + 1]} << 8U) % bytes.size();
      damaged[at] = random[3 * i + 2];
      try {
        decode_image(damaged, file);
        ++pictures;
      } catch (const Error& error) {
        EXPECT_TRUE(error.code() == ErrorCode::bad_file) << error.what();
        ++errors;
      }
    }
  }
  EXPECT_GT(errors, 1000);
  EXPECT_GT(pictures, 100);
}

}  // namespace
}  // namespace flux2
