// flux2 quantize: the folder it writes draws what int8 draws from the original.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "nano.h"

namespace flux2 {
namespace {

class Quantize : public testing::Test {
 protected:
  // Once for all tests.
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TemporaryFolder>();
    run_ = run_flux2({"quantize", "-o", model(), "--json"});
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static std::string model() { return *folder_ / "int8"; }
  static std::string picture(const std::string& name, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"-o", *folder_ / name, "--seed", "3", "--no-metadata"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Finished run = run_nano(arguments);
    EXPECT_EQ(run.status, 0) << run.err;
    return read_file(*folder_ / name);
  }

  static std::unique_ptr<TemporaryFolder> folder_;
  static Finished run_;
};

std::unique_ptr<TemporaryFolder> Quantize::folder_;
Finished Quantize::run_;

TEST_F(Quantize, SaysWhatItMade) {
  ASSERT_EQ(run_.status, 0) << run_.err;
  const auto report = nlohmann::json::parse(run_.out);
  EXPECT_GT(report.at("quantized_layers"), 20);
  EXPECT_LT(report.at("bytes_after").get<double>(), 0.75 * report.at("bytes_before").get<double>());
  EXPECT_NE(run_.err.find("transformer 100%"), std::string::npos) << run_.err;
  const std::vector<std::string> names = folder_->names();
  EXPECT_TRUE(std::none_of(names.begin(), names.end(), [](const std::string& name) {
    return name.find("partial") != std::string::npos;
  }));
  const Finished models = run_flux2({"models", model()});
  EXPECT_EQ(models.status, 0) << models.err;
  EXPECT_NE(models.out.find("I8"), std::string::npos) << models.out;
}

TEST_F(Quantize, DrawsTheSamePictures) {
  const std::string on_the_fly = picture("fly.png", {"--compute", "int8"});
  EXPECT_EQ(picture("file.png", {"--compute", "int8", "-m", model()}), on_the_fly);
  EXPECT_NE(picture("f32.png", {"--compute", "f32"}), on_the_fly);
}

TEST_F(Quantize, AgainIsTheSame) {
  const std::string again = *folder_ / "again";
  const Finished run = run_flux2({"quantize", "-m", model(), "-o", again});
  ASSERT_EQ(run.status, 0) << run.err;
  const std::string file = "/transformer/diffusion_pytorch_model.safetensors";
  EXPECT_EQ(read_file(again + file), read_file(model() + file));
}

TEST_F(Quantize, OtherTypesReadItToo) {
  const std::string f32 = picture("file-f32.png", {"--compute", "f32", "-m", model()});
  EXPECT_EQ(picture("file-f32b.png", {"--compute", "f32", "-m", model()}), f32);
  EXPECT_GT(f32.size(), 100U);
}

TEST_F(Quantize, NeverOverwrites) {
  const Finished run = run_flux2({"quantize", "-o", folder_->path().string()});
  EXPECT_EQ(run.status, 3);
  EXPECT_NE(run.err.find("already"), std::string::npos) << run.err;
}

TEST_F(Quantize, LeavesNothingBehindWhereItFails) {
  const std::vector<std::string> before = folder_->names();
  const Finished run = run_flux2({"quantize", "-m", *folder_ / "nowhere", "-o", *folder_ / "new"});
  EXPECT_EQ(run.status, 3) << run.err;
  EXPECT_EQ(folder_->names(), before);
  EXPECT_EQ(run_flux2({"quantize"}).status, 2);
}

}  // namespace
}  // namespace flux2
