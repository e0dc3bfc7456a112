#include "images/inpaint.h"

#include <cstring>

#include "images/convert.h"
#include "images/reference.h"
#include "images/resample.h"
#include "support.h"

namespace flux2 {
namespace {

using namespace test;

// The bytes of one tensor of a safetensors file: a length, a JSON header, then the data.
std::vector<std::uint8_t> tensor_bytes(const std::filesystem::path& path, const std::string& name) {
  const auto bytes = read_bytes(path);
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, bytes.data(), sizeof header_size);
  const auto data = bytes.begin() + 8 + static_cast<std::ptrdiff_t>(header_size);
  const Json header = Json::parse(bytes.begin() + 8, data);
  const Json& offsets = header.at(name).at("data_offsets");
  return {data + offsets[0].get<std::ptrdiff_t>(), data + offsets[1].get<std::ptrdiff_t>()};
}

std::vector<float> tensor_floats(const std::filesystem::path& path, const std::string& name) {
  const auto bytes = tensor_bytes(path, name);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

Size tokens_of(Size picture) {
  return {picture.width / 16, picture.height / 16};
}

TEST(Inpaint, MasksEqualEveryGolden) {
  const auto images = kGoldens / "images";
  const Json cases = read_json(images / "masks.json");
  ASSERT_EQ(cases.size(), 7U);
  for (const Json& row : cases) {
    const std::string name = row["name"];
    SCOPED_TRACE(name);
    const Image image = load_image(images / row["input"].get<std::string>(), kAsPillow);
    EXPECT_EQ(image.format, format_of_mode(row["pil_mode"]));
    const Size size{row["width"], row["height"]};
    const BinaryMask mask = binary_mask(image, size, Fit::stretch);
    EXPECT_EQ(mask.values, tensor_bytes(images / "masks.safetensors", name + ".binary"));
    EXPECT_EQ(token_mask(mask, tokens_of(size)),
              tensor_floats(images / "masks.safetensors", name + ".packed"));
  }
}

// The masks of whole runs, cropped to the white where the run did that; and what such a run gave
// back where its mask is black.
TEST(Inpaint, MasksOfWholeRuns) {
  int cropped = 0;
  for (const std::string name : {"inpaint-cfg", "inpaint-crop", "inpaint-crop-small",
                                 "inpaint-distilled", "inpaint-resized", "inpaint-strength-1"}) {
    SCOPED_TRACE(name);
    const auto folder = kGoldens / "e2e" / name;
    const Json arguments = read_json(folder / "case.json")["arguments"];
    const Image image = cap_area(load_image(folder / "image.png", kAsPillow));
    const Size size = inpaint_size(image);
    Image mask = load_image(folder / "mask.png", kAsPillow);
    const Image whole_mask = mask;
    Fit fit = Fit::stretch;
    if (arguments.contains("padding_mask_crop")) {
      mask = crop(mask, crop_region(mask, size, arguments["padding_mask_crop"]));
      fit = Fit::fill;
      ++cropped;
    }
    EXPECT_EQ(token_mask(binary_mask(mask, size, fit), tokens_of(size)),
              tensor_floats(folder / "tensors.safetensors", "mask"));
    if (fit == Fit::stretch) continue;
    const Image result = load_image(folder / "image0.png");
    const Image gray = convert_to_gray(whole_mask);
    const Image original = convert_to_rgb(image);
    ASSERT_EQ(result.pixels.size(), original.pixels.size());
    for (std::size_t i = 0; i < original.pixels.size(); ++i) {
      if (gray.pixels[i / 3] != 0) continue;
      ASSERT_EQ(result.pixels[i], original.pixels[i]) << i;
    }
  }
  EXPECT_EQ(cropped, 2);
}

// 84 pictures of all formats; regions and hashes are those of Diffusers.
TEST(Inpaint, RegionsFillsAndOverlaysEqualDiffusers) {
  const Json cases = read_json(kData / "inpaint.json");
  ASSERT_EQ(cases.size(), 84U);
  for (const Json& row : cases) {
    SCOPED_TRACE(row.dump());
    const Size size{row["size"][0], row["size"][1]};
    const Size picture{row["picture"][0], row["picture"][1]};
    Image mask = blank_image(size.width, size.height, PixelFormat::gray);
    for (int y = row["white"][1]; y < row["white"][3]; ++y) {
      for (int x = row["white"][0]; x < row["white"][2]; ++x) {
        mask.pixels[static_cast<std::size_t>(y * size.width + x)] = row["value"];
      }
    }
    const Json& expected = row["region"];
    const Box region = crop_region(mask, picture, row["padding"]);
    EXPECT_EQ(region, (Box{expected[0], expected[1], expected[2], expected[3]}));

    const Json& seeds = row["seeds"];
    const Image original =
        noise_image(format_of_mode(row["mode"]), size.width, size.height, seeds[0]);
    const Image painted = noise_image(PixelFormat::rgb, picture.width, picture.height, seeds[1]);
    const Image soft = noise_image(PixelFormat::gray, size.width, size.height, seeds[2]);
    EXPECT_EQ(sha256(fit_image(crop(original, region), picture, Fit::fill)), row["fill"]);
    Overlay overlay{.mask = soft, .original = original, .box = region};
    EXPECT_EQ(sha256(apply_overlay(painted, overlay)), row["cover"]);
    overlay.fit = OverlayFit::centre_crop;
    EXPECT_EQ(sha256(apply_overlay(painted, overlay)), row["centre"]);
  }
}

TEST(Inpaint, OverlayWithoutABoxKeepsTheBlackPart) {
  const Image original = noise_image(PixelFormat::rgb, 32, 16, 1);
  const Image painted = noise_image(PixelFormat::rgb, 32, 16, 2);
  Image mask = blank_image(32, 16, PixelFormat::bilevel);
  std::fill(mask.pixels.begin() + 100, mask.pixels.end(), 255);
  const Image result = apply_overlay(painted, {.mask = mask, .original = original});
  for (std::size_t i = 0; i < result.pixels.size(); ++i) {
    EXPECT_EQ(result.pixels[i], (i < 300 ? original : painted).pixels[i]);
  }
}

TEST(Inpaint, RefusesWhatDoesNotFit) {
  const auto bad = ErrorCode::invalid_request;
  const Image image = noise_image(PixelFormat::rgb, 32, 16, 1);
  const Image other = noise_image(PixelFormat::rgb, 16, 16, 1);
  const Image black = blank_image(32, 16, PixelFormat::gray);
  expect_error(bad, "black all over", [&] { crop_region(black, {64, 64}, 0); });
  expect_error(bad, "-1", [&] { crop_region(image, {64, 64}, -1); });
  expect_error(bad, "0x64", [&] { crop_region(image, {0, 64}, 1); });
  expect_error(bad, "at least 16", [&] { inpaint_size(blank_image(100, 15, PixelFormat::rgb)); });
  expect_error(bad, "the mask is 16x16",
               [&] { apply_overlay(image, {.mask = other, .original = image}); });
  expect_error(bad, "the painted image is 16x16",
               [&] { apply_overlay(other, {.mask = image, .original = image}); });
  expect_error(bad, "0x0",
               [&] { apply_overlay(image, {.mask = image, .original = image, .box = Box{}}); });
  // a sliver that fill would squeeze to nothing
  expect_error(bad, "0", [&] {
    fit_image(blank_image(5000, 1, PixelFormat::rgb), {16, 16}, Fit::fill);
  });
}

TEST(Inpaint, AHugePaddingIsTheWholeMask) {
  Image mask = blank_image(32, 16, PixelFormat::gray);
  mask.pixels[40] = 1;
  EXPECT_EQ(crop_region(mask, {64, 32}, std::numeric_limits<int>::max()), (Box{0, 0, 32, 16}));
}

}  // namespace
}  // namespace flux2
