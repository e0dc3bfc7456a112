// Every end-to-end case of Diffusers through the command line: its final latents and pictures.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>

#include "flux2/flux2.h"
#include "program.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

const fs::path kGoldens = fs::path(FLUX2_SOURCE_DIR) / "tests/goldens/data";

// f32 against f32 (DESIGN: the reference's numbers to 1e-4; its own noise is 4e-7).
constexpr double kLatentsTolerance = 1e-4;
constexpr int kPixelTolerance = 1;  // levels of 255: a rounding that falls the other way

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kGoldens / "e2e"))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

fs::path folder_of(const std::string& name) {
  return kGoldens / "e2e" / name;
}

// ||a - b|| / ||b||
template <typename A>
double relative_distance(const std::vector<A>& a, double scale, const std::vector<float>& b) {
  double difference = 0;
  double norm = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    const double delta = static_cast<double>(a[i]) * scale - static_cast<double>(b[i]);
    difference += delta * delta;
    norm += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return std::sqrt(difference / norm);
}

std::string replaced(std::string text, const std::string& place, const std::string& value) {
  const std::size_t at = text.find(place);
  return at == std::string::npos ? text : text.replace(at, place.size(), value);
}

// How far Diffusers' own bf16 run of this case is from its f32 run.
struct Bf16Distance {
  std::string float32_case;
  double latents = 0;
  double image = 0;
};

std::optional<Bf16Distance> bf16_distance(const std::string& name) {
  const Json mutations = Json::parse(read_file(kGoldens / "mutations.json"));
  for (const Json& pair : mutations["bf16_distance"]) {
    if (pair["bfloat16"] == name) {
      return Bf16Distance{pair["float32"], pair["final_latents"], pair["image"]};
    }
  }
  return std::nullopt;
}

class GoldenCase : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { case_ = Json::parse(read_file(folder_of(GetParam()) / "case.json")); }

  Finished run() const {
    const fs::path folder = folder_of(GetParam());
    std::vector<std::string> arguments;
    for (std::string argument : case_["command"]) {
      argument = replaced(argument, "{model}", (folder / case_["checkpoint"]).string());
      argument = replaced(argument, "{case}", folder.string());
      arguments.push_back(replaced(argument, "{out}", out_.path().string()));
    }
    // All cases are run again with less of the processor: see CMakeLists.txt.
    if (const char* isa = std::getenv("FLUX2_TEST_ISA"))
      arguments.insert(arguments.end(), {"--isa", isa});
    return run_flux2(arguments);
  }

  FloatArray latents() const { return load_array(out_ / "latents.safetensors", "latents"); }

  FloatArray golden(const std::string& name, const std::string& tensor) const {
    return load_array(folder_of(name) / "tensors.safetensors", tensor);
  }

  // Where the picture is that Diffusers calls imageI.png.
  std::string picture(std::size_t index, std::size_t count) const {
    return out_ / (count == 1 ? "image.png" : fmt::format("image{}.png", index));
  }

  void expect_float32_results() const;
  void expect_bfloat16_results() const;

  Json case_;
  TemporaryFolder out_;
};

void GoldenCase::expect_float32_results() const {
  const FloatArray expected = golden(GetParam(), "final_latents");
  const FloatArray made = latents();
  ASSERT_EQ(made.shape, expected.shape);
  const double distance = relative_distance(made.values, 1, expected.values);
  EXPECT_LE(distance, kLatentsTolerance);
  fmt::print("{}: latents {:.1e} of {:.1e}\n", GetParam(), distance, kLatentsTolerance);

  const std::vector<std::string> pictures = case_["expected"]["png"];
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    const Image golden = load_image(folder_of(GetParam()) / pictures[i]);
    const Image image = load_image(picture(i, pictures.size()));
    ASSERT_EQ(image.width, golden.width);
    ASSERT_EQ(image.height, golden.height);
    ASSERT_EQ(image.format, golden.format);
    int most = 0;
    for (std::size_t k = 0; k < golden.pixels.size(); ++k)
      most = std::max(most, std::abs(int{image.pixels[k]} - int{golden.pixels[k]}));
    EXPECT_LE(most, kPixelTolerance) << pictures[i];
  }
}

void GoldenCase::expect_bfloat16_results() const {
  const auto distance = bf16_distance(GetParam());
  ASSERT_TRUE(distance) << "mutations.json knows no distance of this case";
  const FloatArray expected = golden(distance->float32_case, "final_latents");
  const FloatArray made = latents();
  ASSERT_EQ(made.shape, expected.shape);
  const double latents_distance = relative_distance(made.values, 1, expected.values);
  EXPECT_LE(latents_distance, distance->latents);

  const FloatArray expected_image = golden(distance->float32_case, "image");
  const Image image = load_image(picture(0, 1));
  ASSERT_EQ(image.pixels.size(), expected_image.values.size());
  const double image_distance = relative_distance(image.pixels, 1.0 / 255, expected_image.values);
  EXPECT_LE(image_distance, distance->image);
  fmt::print("{}: latents {:.4f} of Diffusers' {:.4f}, image {:.4f} of {:.4f}\n", GetParam(),
             latents_distance, distance->latents, image_distance, distance->image);
}

TEST_P(GoldenCase, IsWhatDiffusersMade) {
  const Finished finished = run();
  const bool bf16 = case_["dtype"] == "bfloat16";
  if (bf16 && finished.status == 2 &&
      finished.err.find("cannot compute in bf16") != std::string::npos) {
    GTEST_SKIP() << GetParam() << ": " << finished.err;
  }
  ASSERT_EQ(finished.status, 0) << finished.err;
  if (bf16) {
    expect_bfloat16_results();
  } else {
    expect_float32_results();
  }
}

INSTANTIATE_TEST_SUITE_P(E2e, GoldenCase, testing::ValuesIn(case_names()), [](const auto& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace flux2
