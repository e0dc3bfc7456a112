// The prompt cache through the command line, by several processes at once.
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>

#include "nano.h"

namespace flux2 {
namespace {

using Json = nlohmann::json;

class Cache : public testing::Test {
 protected:
  void SetUp() override {
    setenv("FLUX2_CACHE", (*folder_ / "cache").c_str(), 1);
    unsetenv("FLUX2_PROMPT_CACHE_MB");
  }
  void TearDown() override {
    unsetenv("FLUX2_CACHE");
    setenv("FLUX2_PROMPT_CACHE_MB", "0", 1);
  }

  // How many texts came out of the cache while `name` was drawn.
  int cached(const std::string& name, std::vector<std::string> more = {}) {
    more.insert(more.end(), {"--seed", "1", "--no-metadata", "--json", "-o", *folder_ / name});
    const Finished run = run_nano(more);
    EXPECT_EQ(run.status, 0) << run.err;
    last_ = Json::parse(run.out);
    return last_.at("cached_prompts");
  }
  std::string picture(const std::string& name) const { return read_file(*folder_ / name); }
  static Json contents() { return Json::parse(run_flux2({"cache", "--json"}).out); }

  std::unique_ptr<TemporaryFolder> folder_ = std::make_unique<TemporaryFolder>();
  Json last_;
};

TEST_F(Cache, IsUsedUnlessItIsSwitchedOff) {
  EXPECT_EQ(cached("never.png", {"--no-prompt-cache"}), 0);
  EXPECT_EQ(cached("never.png", {"--prompt-cache-mb", "0"}), 0);
  EXPECT_EQ(contents().at("entries"), 0);
  EXPECT_EQ(cached("first.png"), 0);
  EXPECT_EQ(cached("second.png"), 2);  // the prompt, and the empty one to lead away from
  for (const Json& stage : last_.at("stages"))
    EXPECT_EQ(stage.at("name").get<std::string>().find("text"), std::string::npos) << stage;
  EXPECT_EQ(picture("first.png"), picture("never.png"));
  EXPECT_EQ(picture("second.png"), picture("never.png"));
  EXPECT_EQ(cached("f.png", {"--compute", "f32"}) + cached("t.png", {"--threads", "3"}), 0);
  EXPECT_EQ(run_nano({"--prompt-cache-mb", "-1", "-o", *folder_ / "x.png"}).status, 2);
}

TEST_F(Cache, CanBeShownAndCleared) {
  cached("a.png");
  EXPECT_EQ(contents().at("entries"), 2);
  EXPECT_GT(contents().at("bytes"), 1000);
  const Finished cleared = run_flux2({"cache", "--clear"});
  EXPECT_EQ(cleared.status, 0);
  EXPECT_NE(cleared.out.find("removed 2 prompts"), std::string::npos) << cleared.out;
  EXPECT_EQ(contents().at("entries"), 0);
  EXPECT_EQ(cached("b.png"), 0);
}

TEST_F(Cache, ADamagedEntryIsMadeAgain) {
  cached("a.png");
  const std::filesystem::path prompts = *folder_ / "cache/prompts";
  for (const auto& file : std::filesystem::directory_iterator(prompts))
    std::filesystem::resize_file(file.path(), file.file_size() - 1);
  EXPECT_EQ(cached("b.png"), 0);
  EXPECT_EQ(last_.at("warnings").size(), 2U);
  EXPECT_EQ(cached("c.png"), 2);
  EXPECT_EQ(picture("b.png"), picture("a.png"));
}

TEST_F(Cache, SeveralProcessesShareIt) {
  cached("alone.png");
  run_flux2({"cache", "--clear"});
  std::vector<std::thread> threads;
  std::vector<Finished> runs(4);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    threads.emplace_back([&, i] {
      runs[i] = run_nano({"--seed", "1", "--no-metadata", "--threads", "1", "-o",
                          *folder_ / ("p" + std::to_string(i) + ".png")});
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  for (std::size_t i = 0; i < runs.size(); ++i) {
    EXPECT_EQ(runs[i].status, 0) << runs[i].err;
    EXPECT_EQ(runs[i].err.find("cache"), std::string::npos) << runs[i].err;
    EXPECT_EQ(picture("p" + std::to_string(i) + ".png"), picture("p0.png"));
  }
  EXPECT_EQ(contents().at("entries"), 2);
}

TEST_F(Cache, AFolderThatCannotBeMadeIsAWarning) {
  write_text(*folder_ / "cache", "a file");
  EXPECT_EQ(cached("a.png"), 0);
  ASSERT_FALSE(last_.at("warnings").empty());
  EXPECT_NE(last_.at("warnings")[0].get<std::string>().find("prompt cache"), std::string::npos);
  EXPECT_EQ(picture("a.png").substr(1, 3), "PNG");
}

}  // namespace
}  // namespace flux2
