// flux2 verify: what is good is called good, and every kind of damage is found and named.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "program.h"
#include "tensor_file.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

// The built-in model, and its 8-bit twin.
class Verify : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TemporaryFolder>();
    const Finished models = run_flux2({"models", "--json"});
    nano_ = nlohmann::json::parse(models.out).at(0).at("path").get<std::string>();
    ASSERT_EQ(run_flux2({"quantize", "-o", *folder_ / "int8", "--progress", "none"}).status, 0);
  }
  static void TearDownTestSuite() { folder_.reset(); }

  // A copy of a part's weights that may be damaged, beside its config.json.
  static std::string copy_of(const fs::path& part, const std::string& name) {
    fs::create_directories(*folder_ / name);
    for (const auto& entry : fs::directory_iterator(part))
      fs::copy_file(entry.path(), fs::path(*folder_ / name) / entry.path().filename());
    return *folder_ / name;
  }
  static std::string weights_in(const std::string& folder) {
    return folder + "/diffusion_pytorch_model.safetensors";
  }
  static Finished verify(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "verify");
    arguments.insert(arguments.end(), {"--progress", "none"});
    return run_flux2(arguments);
  }

  static std::unique_ptr<TemporaryFolder> folder_;
  static std::string nano_;
};

std::unique_ptr<TemporaryFolder> Verify::folder_;
std::string Verify::nano_;

TEST_F(Verify, AGoodModelIsGood) {
  const Finished run = verify({"nano", "--json"});
  ASSERT_EQ(run.status, 0) << run.err;
  const auto report = nlohmann::json::parse(run.out);
  EXPECT_TRUE(report.at("good"));
  EXPECT_NE(report.at("taken_for").get<std::string>().find("model_index.json"), std::string::npos);
  ASSERT_EQ(report.at("parts").size(), 3U);
  for (const auto& part : report.at("parts")) {
    EXPECT_EQ(part.at("listed").size(), part.at("tensors").get<std::size_t>());
    EXPECT_NE(part.at("because").get<std::string>().find("config.json"), std::string::npos);
    for (const auto& tensor : part.at("listed"))
      EXPECT_NE(tensor.at("role"), "unknown") << tensor;
  }
  const Finished table = verify({nano_ + "/transformer", "-v"});
  EXPECT_EQ(table.status, 0) << table.err;
  EXPECT_NE(table.out.find("proj_out.weight  linear layer, BF16 [128, 256]"), std::string::npos)
      << table.out;
  EXPECT_NE(table.out.find("good: 1 parts"), std::string::npos);
}

TEST_F(Verify, FindsNotANumber) {
  TensorFile file(weights_in(copy_of(nano_ + "/vae", "nan")));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(file.data("decoder.conv_in.weight") + 40, &nan, sizeof(nan));
  file.save();
  const Finished run = verify({*folder_ / "nan"});
  EXPECT_EQ(run.status, 3);
  EXPECT_NE(run.out.find("\"decoder.conv_in.weight\" [64, 32, 3, 3] holds 1 NaN"),
            std::string::npos)
      << run.out;
}

TEST_F(Verify, FindsWhatIsMissingAndWhatIsTooMuch) {
  TensorFile file(weights_in(copy_of(nano_ + "/transformer", "renamed")));
  file.rename("proj_out.weight", "proj_oux.weight");
  file.save();
  const Finished run = verify({*folder_ / "renamed"});
  EXPECT_EQ(run.status, 3);
  EXPECT_NE(run.out.find("1 tensor is missing: \"proj_out.weight\""), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("1 tensor is not FLUX.2's: \"proj_oux.weight\""), std::string::npos)
      << run.out;
}

TEST_F(Verify, AQuantisedModelIsItsParents) {
  const Finished run = verify({*folder_ / "int8", "--against", "nano", "--json"});
  ASSERT_EQ(run.status, 0) << run.err << run.out;
  std::size_t compared = 0, scaled = 0;
  const auto report = nlohmann::json::parse(run.out);
  for (const auto& part : report.at("parts")) {
    for (const auto& tensor : part.at("listed")) {
      compared += tensor.contains("difference") ? 1 : 0;
      scaled += tensor.contains("scales") ? 1 : 0;
      if (!tensor.contains("difference")) continue;
      EXPECT_GT(tensor.at("difference").at("cosine"), 0.999);
    }
  }
  EXPECT_GT(compared, 500U);
  EXPECT_GT(scaled, 100U);
}

TEST_F(Verify, NamesTheLayerWhoseScalesAreHalf) {
  const std::string layer = "single_transformer_blocks.1.attn.to_out.weight";
  TensorFile file(weights_in(copy_of(*folder_ / "int8/transformer", "half")));
  char* scales = file.data(layer + "_scale");
  for (std::size_t i = 0; i < file.size(layer + "_scale"); i += sizeof(float)) {
    float scale = 0;
    std::memcpy(&scale, scales + i, sizeof(scale));
    scale /= 2;
    std::memcpy(scales + i, &scale, sizeof(scale));
  }
  file.save();
  EXPECT_EQ(verify({*folder_ / "half"}).status, 0) << "nothing is wrong with it by itself";
  const Finished run = verify({*folder_ / "half", "--against", nano_});
  EXPECT_EQ(run.status, 3);
  EXPECT_NE(run.out.find("\"" + layer + "\" is not its parent's"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("gain 0.5"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("1 problems"), std::string::npos) << run.out;
}

TEST_F(Verify, NamesTheLayerWhoseHalvesChangedPlaces) {
  TensorFile file(weights_in(copy_of(nano_ + "/transformer", "swapped")));
  const std::size_t half = file.size("norm_out.linear.weight") / 2;
  char* rows = file.data("norm_out.linear.weight");
  std::swap_ranges(rows, rows + half, rows + half);
  file.save();
  const Finished run = verify({*folder_ / "swapped", "--against", "nano"});
  EXPECT_EQ(run.status, 3);
  EXPECT_NE(run.out.find("\"norm_out.linear.weight\" is not its parent's"), std::string::npos)
      << run.out;
  EXPECT_NE(run.out.find("1 problems"), std::string::npos) << run.out;
}

TEST_F(Verify, SaysWhatCannotBeReadAndGoesOn) {
  const Finished run = verify({*folder_ / "nowhere", nano_ + "/vae"});
  EXPECT_EQ(run.status, 3);
  EXPECT_NE(run.out.find("nowhere: there is no such folder or file"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("AutoencoderKLFlux2"), std::string::npos) << run.out;
  EXPECT_EQ(run_flux2({"verify"}).status, 2);
  EXPECT_EQ(verify({nano_, "--against", *folder_ / "nowhere"}).status, 3);
}

TEST_F(Verify, PartsAreHeldAgainstEachOther) {
  const fs::path tiny = fs::path(FLUX2_SOURCE_DIR) / "tests/goldens/data/checkpoints/tiny-klein";
  const Finished fits = verify({nano_ + "/transformer", nano_ + "/vae"});
  EXPECT_EQ(fits.status, 0) << fits.out;
  const Finished run = verify({nano_ + "/transformer", nano_ + "/vae", tiny / "text_encoder"});
  EXPECT_EQ(run.status, 3) << run.out;
  EXPECT_NE(run.out.find("the text encoder is"), std::string::npos) << run.out;
}

}  // namespace
}  // namespace flux2
