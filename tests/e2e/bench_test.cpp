// flux2 bench: the report that scripts read.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "program.h"

namespace flux2 {
namespace {

using Json = nlohmann::json;

Finished run_bench(const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {
      "bench", "--width",       "64", "--height",   "64",  "--steps", "2", "--progress",
      "none",  "--text-tokens", "16", "--ceilings", "skip"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_flux2(arguments);
}

TEST(BenchCommand, JsonHasEveryKey) {
  const Finished finished = run_bench({"--json", "-"});
  ASSERT_EQ(finished.status, 0) << finished.err;
  EXPECT_EQ(finished.err, "");
  const Json json = Json::parse(finished.out);
  for (const char* key :
       {"model", "backend", "compute", "threads", "width", "height", "steps", "text_tokens",
        "seconds_load", "seconds_text", "seconds_first_step", "seconds_per_step", "step_seconds",
        "seconds_decode", "peak_memory_bytes", "peak_anonymous_bytes", "flops", "ops"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  EXPECT_FALSE(json.contains("ceilings"));
  EXPECT_FALSE(json.contains("ratios"));
  EXPECT_GT(json["flops"]["step"], 0);
}

TEST(BenchCommand, TablesForPeople) {
  const Finished finished = run_bench({"--ops"});
  ASSERT_EQ(finished.status, 0) << finished.err;
  for (const char* word : {"later step", "peak memory", "linear_add_gated", "conv2d", "GB/s"})
    EXPECT_NE(finished.out.find(word), std::string::npos) << word << " in\n" << finished.out;
}

TEST(BenchCommand, AFileForTheReport) {
  TemporaryFolder folder;
  ASSERT_EQ(run_bench({"--json", folder / "report.json"}).status, 0);
  EXPECT_TRUE(Json::parse(read_file(folder / "report.json")).contains("seconds_per_step"));
  EXPECT_EQ(folder.names(), std::vector<std::string>{"report.json"});
  const Finished nowhere = run_bench({"--json", folder / "missing/report.json"});
  EXPECT_EQ(nowhere.status, 3);
}

TEST(BenchCommand, ARandomModel) {
  const Finished finished = run_bench({"--random", "klein-4b", "--layers", "1", "--json", "-"});
  ASSERT_EQ(finished.status, 0) << finished.err;
  const Json json = Json::parse(finished.out);
  EXPECT_EQ(json["model"], "random klein-4b");
  // 2.0 GB of bf16 are computed with; numbers that repeat are held once.
  EXPECT_LT(json["peak_memory_bytes"], 6e9);
}

TEST(BenchCommand, RefusesWhatItDoesNotKnow) {
  const Finished unknown = run_bench({"--random", "klein-5b"});
  EXPECT_EQ(unknown.status, 2);
  EXPECT_NE(unknown.err.find("klein-9b-kv"), std::string::npos) << unknown.err;
  EXPECT_EQ(run_bench({"--layers", "2"}).status, 2);
  EXPECT_EQ(run_bench({"--ceilings", "guess"}).status, 2);
}

}  // namespace
}  // namespace flux2
