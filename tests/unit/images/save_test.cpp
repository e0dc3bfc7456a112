// Writing, and reading back what was written.
#include "images/convert.h"
#include "support.h"

namespace flux2 {
namespace {

using namespace test;

const std::string kPrompt =
    "a cat, gr\u00fcn, \u732b \U0001f408\nNegative prompt: \nSteps: 4, Seed: 1";

TEST(Save, PngKeepsEveryFormat) {
  const ScratchFolder folder;
  for (const PixelFormat format : kAllFormats) {
    SCOPED_TRACE(static_cast<int>(format));
    for (const auto& [width, height] : {std::pair{1, 1}, {7, 3}, {64, 33}, {300, 2}}) {
      const Image image = noise_image(format, width, height, 5);
      save_image(image, folder / "a.png");
      const Image read = load_image(folder / "a.png", kAsPillow);
      EXPECT_EQ(read.format, format);
      EXPECT_EQ(read.width, width);
      EXPECT_EQ(read.height, height);
      EXPECT_EQ(read.pixels, image.pixels);
      EXPECT_EQ(read.palette, image.palette);
    }
  }
}

TEST(Save, WebpIsLossless) {
  const ScratchFolder folder;
  for (const PixelFormat format : kAllFormats) {
    SCOPED_TRACE(static_cast<int>(format));
    const Image image = noise_image(format, 31, 17, 6);
    const bool alpha = format == PixelFormat::rgba || format == PixelFormat::gray_alpha;
    const Image expected = alpha ? convert_to_rgba(image) : convert_to_rgb(scale_gray16(image));
    for (const ImageText& text : {ImageText{}, ImageText{{"parameters", kPrompt}}}) {
      save_image(image, folder / "a.webp", text);
      const Image read = load_image(folder / "a.webp");
      EXPECT_EQ(read.format, expected.format);
      EXPECT_EQ(read.pixels, expected.pixels);
      EXPECT_EQ(load_image_text(folder / "a.webp"), text);
    }
  }
}

TEST(Save, JpegIsCloseAndKeepsFullColourResolution) {
  const ScratchFolder folder;
  Image image = blank_image(40, 24, PixelFormat::rgb);
  for (std::size_t i = 0; i < image.pixels.size(); i += 3) {
    const std::size_t x = i / 3 % 40;
    // columns of red and blue in turn: halved colour resolution would turn them purple
    image.pixels[i] = x % 2 == 0 ? 200 : 30;
    image.pixels[i + 2] = x % 2 == 0 ? 30 : 200;
  }
  for (const std::string name : {"a.jpg", "a.JPEG"}) {
    save_image(image, folder / name, {{"parameters", kPrompt}, {"other", "not in a JPEG"}});
    const Image read = load_image(folder / name);
    ASSERT_EQ(read.pixels.size(), image.pixels.size());
    int worst = 0;
    for (std::size_t i = 0; i < read.pixels.size(); ++i) {
      worst = std::max(worst, std::abs(read.pixels[i] - image.pixels[i]));
    }
    EXPECT_LE(worst, 12);
    EXPECT_EQ(load_image_text(folder / name), (ImageText{{"parameters", kPrompt}}));
  }
  save_image(noise_image(PixelFormat::gray, 8, 8, 1), folder / "g.jpg");
  EXPECT_EQ(load_image(folder / "g.jpg").format, PixelFormat::gray);
  save_image(noise_image(PixelFormat::palette, 8, 8, 1), folder / "p.jpg");
  EXPECT_EQ(load_image(folder / "p.jpg").format, PixelFormat::rgb);
}

TEST(Save, PngTextSurvives) {
  const ScratchFolder folder;
  const ImageText text{{"parameters", kPrompt},
                       {"latin", "gr\u00fcn \u00e9\nsecond line\ttab"},
                       {"empty", ""},
                       {"long", std::string(100'000, 'x') + "\u732b"},
                       {"with space", "{\"a\": [1, 2]}"}};
  save_image(noise_image(PixelFormat::rgb, 4, 4, 1), folder / "t.png", text);
  EXPECT_EQ(load_image_text(folder / "t.png"), text);
  const auto bytes = read_bytes(folder / "t.png");
  const std::string_view file(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  // Latin-1 text is in tEXt, where old readers look; other text in iTXt
  EXPECT_NE(file.find(std::string_view("tEXtlatin\0gr\xfcn", 13)), file.npos);
  EXPECT_NE(file.find(std::string_view("iTXtparameters\0\0\0\0\0a cat", 24)), file.npos);
}

TEST(Save, RefusesTextThatAFormatCannotHold) {
  const ScratchFolder folder;
  const Image image = noise_image(PixelFormat::rgb, 4, 4, 1);
  const auto save = [&](const char* file, const ImageText& text) {
    return [&, file, text] { save_image(image, folder / file, text); };
  };
  const auto bad = ErrorCode::invalid_request;
  expect_error(bad, "not valid UTF-8", save("a.png", {{"parameters", "\xff\xfe"}}));
  expect_error(bad, "not valid UTF-8", save("a.jpg", {{"parameters", "\xc3"}}));
  expect_error(bad, "not valid UTF-8", save("a.webp", {{"parameters", "\xed\xa0\x80"}}));
  expect_error(bad, "zero byte", save("a.png", {{"parameters", std::string("a\0b", 3)}}));
  expect_error(bad, "keyword", save("a.png", {{"", "x"}}));
  expect_error(bad, "keyword", save("a.png", {{std::string(80, 'k'), "x"}}));
  expect_error(bad, "keyword", save("a.png", {{"\u732b", "x"}}));
  expect_error(bad, "keyword", save("a.png", {{" a", "x"}}));
  expect_error(bad, "keyword", save("a.png", {{"a ", "x"}}));
  expect_error(bad, "keyword", save("a.png", {{"a  b", "x"}}));
  expect_error(bad, "keyword", save("a.png", {{"a\nb", "x"}}));
  expect_error(bad, "a JPEG holds", save("a.jpg", {{"parameters", std::string(40'000, 'x')}}));
  save_image(image, folder / "a.webp", {{"parameters", std::string(40'000, 'x')}});
  EXPECT_EQ(load_image_text(folder / "a.webp").at("parameters").size(), 40'000U);
  save_image(image, folder / "a.jpg", {{"parameters", std::string(32'000, 'x')}});
  EXPECT_EQ(load_image_text(folder / "a.jpg").at("parameters").size(), 32'000U);
}

TEST(Save, RefusesImagesThatAFormatCannotHold) {
  const ScratchFolder folder;
  const auto bad = ErrorCode::invalid_request;
  const auto save = [&](const Image& image, const char* file) {
    return [&, image, file] { save_image(image, folder / file); };
  };
  const Image good = noise_image(PixelFormat::rgb, 4, 4, 1);
  expect_error(bad, "ending \".gif\"", save(good, "a.gif"));
  expect_error(bad, "ending \"\"", save(good, "a"));
  expect_error(bad, "transparency", save(noise_image(PixelFormat::rgba, 4, 4, 1), "a.jpg"));
  expect_error(bad, "no pixels", save(Image{}, "a.png"));
  expect_error(bad, "16383", save(blank_image(16'384, 1, PixelFormat::rgb), "a.webp"));
  expect_error(bad, "JPEG", save(blank_image(65'536, 1, PixelFormat::rgb), "a.jpg"));
  Image wrong = good;
  wrong.pixels.pop_back();
  expect_error(bad, "needs 48 bytes", save(wrong, "a.png"));
  Image colourless = noise_image(PixelFormat::palette, 4, 4, 1);
  colourless.palette.clear();
  expect_error(bad, "palette", save(colourless, "a.png"));
  colourless.palette.resize(3);  // one colour, but the pixels ask for more
  expect_error(bad, "PNG", save(colourless, "a.png"));
}

TEST(Save, LeavesNothingBehind) {
  const ScratchFolder folder;
  const Image image = noise_image(PixelFormat::rgb, 4, 4, 1);
  expect_error(ErrorCode::bad_file, "missing",
               [&] { save_image(image, folder.path() / "missing" / "a.png"); });
  std::filesystem::create_directory(folder / "folder.png");
  expect_error(ErrorCode::bad_file, "folder.png",
               [&] { save_image(image, folder / "folder.png"); });
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
  save_image(image, folder / "a.png");
  save_image(noise_image(PixelFormat::gray, 2, 2, 1), folder / "a.png");  // replaces
  EXPECT_EQ(load_image(folder / "a.png").width, 2);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 2);
}

}  // namespace
}  // namespace flux2
