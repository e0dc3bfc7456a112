// flux2 plan, --plan and --memory: what is predicted is what is measured.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "nano.h"
#include "program.h"

namespace flux2 {
namespace {

using Json = nlohmann::json;
using Arguments = std::vector<std::string>;

// Of the measured peak.
constexpr double kTolerance = 0.07;

Json bench(const Arguments& more) {
  Arguments arguments = {"bench", "--progress", "none", "--ceilings", "skip", "--json", "-"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const Finished finished = run_flux2(arguments);
  EXPECT_EQ(finished.status, 0) << finished.err;
  return finished.status == 0 ? Json::parse(finished.out) : Json();
}

struct Case {
  const char* name;
  const char* model;
  int width, height;
  Arguments more;
};

// Sizes of which no part is so small that the program itself decides.
class PredictedPeak : public testing::TestWithParam<Case> {};

TEST_P(PredictedPeak, IsTheMeasuredOne) {
  const Case& c = GetParam();
  Arguments arguments = {"--random", c.model,
                         "--layers", "1",
                         "--steps",  "1",
                         "--width",  std::to_string(c.width),
                         "--height", std::to_string(c.height)};
  arguments.insert(arguments.end(), c.more.begin(), c.more.end());
  const Json json = bench(arguments);
  ASSERT_FALSE(json.is_null());
  const double measured = json["peak_anonymous_bytes"], predicted = json["planned_peak_bytes"];
  EXPECT_NEAR(predicted / measured, 1.0, kTolerance) << predicted << " and " << measured;
}

INSTANTIATE_TEST_SUITE_P(
    ModelsAndSizes, PredictedPeak,
    testing::Values(
        Case{"Bf16", "klein-4b", 256, 256, {"--compute", "bf16", "--text-tokens", "128"}},
        Case{"F32", "klein-4b", 64, 64, {"--compute", "f32", "--text-tokens", "16"}},
        Case{"Int8", "klein-9b", 128, 128, {"--compute", "int8", "--text-tokens", "32"}},
        Case{"Streamed",
             "klein-base-4b",
             128,
             128,
             {"--compute", "bf16", "--text-tokens", "32", "--memory", "900M"}}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(PlanCommand, TableAndJson) {
  const Finished table = run_flux2({"plan", "--width", "64", "--height", "64"});
  ASSERT_EQ(table.status, 0) << table.err;
  for (const char* word : {"stage", "peak", "seconds", "transformer", "released", "measured"})
    EXPECT_NE(table.out.find(word), std::string::npos) << word << " in\n" << table.out;
  const Finished finished = run_flux2({"plan", "nano", "--json"});
  ASSERT_EQ(finished.status, 0) << finished.err;
  const Json json = Json::parse(finished.out);
  for (const char* key : {"peak_bytes", "limit_bytes", "limit_from", "program_bytes", "seconds",
                          "backend", "stages", "parts", "given_up", "rates"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  EXPECT_EQ(json["stages"].size(), 3u);
}

TEST(PlanCommand, GenerateAndBenchPlanToo) {
  TemporaryFolder folder;
  const Finished generate =
      run_flux2({"generate", "-p", "a cat", "--plan", "-o", folder / "cat.png"});
  EXPECT_EQ(generate.status, 0) << generate.err;
  EXPECT_NE(generate.out.find("peak"), std::string::npos);
  EXPECT_TRUE(folder.names().empty());
  const Finished dev = run_flux2({"bench", "--random", "dev", "--plan", "--memory", "1G"});
  EXPECT_EQ(dev.status, 4);
  EXPECT_NE(dev.err.find("would do"), std::string::npos) << dev.err;
}

TEST(MemoryOption, StreamsWhatDoesNotFitAndRefusesTheRest) {
  const Arguments small = {
      "--random",      "klein-4b", "--layers", "1", "--width", "64",     "--height", "64",
      "--text-tokens", "16",       "--steps",  "1", "--plan",  "--json", "-"};
  const auto plan = [&](const std::string& memory) {
    Arguments arguments = {"bench", "--compute", "bf16", "--memory", memory};
    arguments.insert(arguments.end(), small.begin(), small.end());
    return run_flux2(arguments);
  };
  const Json all = Json::parse(plan("1T").out);
  EXPECT_EQ(all["parts"][1]["streamed_bytes"], 0);
  const Json streamed = Json::parse(plan("850M").out);
  EXPECT_LE(streamed["peak_bytes"], 850e6);
  EXPECT_GT(streamed["parts"][1]["streamed_bytes"], 0);
  EXPECT_FALSE(streamed["given_up"].empty());
  EXPECT_EQ(plan("50M").status, 4);
  EXPECT_EQ(plan("lots").status, 2);
}

}  // namespace
}  // namespace flux2
