// The scorer against the one it was ported from, on pictures that are right, wrong and in between.
#include "scorer.h"

#include <gtest/gtest.h>

#include <set>

namespace flux2::nano {
namespace {

class ScorerTest : public testing::TestWithParam<const char*> {};

TEST_P(ScorerTest, SaysWhatThePythonScorerSays) {
  const std::vector<Scene> scenes = load_scenes().scenes;
  const std::vector<ScoredPicture> pictures = load_sheet(GetParam());
  ASSERT_GE(pictures.size(), 48U);
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    const ScoredPicture& picture = pictures[i];
    const Scene& scene = scenes.at(picture.scene);
    EXPECT_EQ(score(picture.image, scene.wanted), picture.verdict)
        << "picture " << i << ", fault " << picture.fault << ": " << scene.prompt;
  }
}

INSTANTIATE_TEST_SUITE_P(Sheets, ScorerTest, testing::Values("drawn", "faults", "model"),
                         [](const auto& info) { return std::string(info.param); });

TEST(ScorerTest, FindsNothingWrongInWhatTheRendererDrew) {
  const std::vector<Scene> scenes = load_scenes().scenes;
  for (const ScoredPicture& picture : load_sheet("drawn")) {
    const Scene& scene = scenes.at(picture.scene);
    EXPECT_TRUE(score(picture.image, scene.wanted).at("all")) << scene.prompt;
  }
}

TEST(ScorerTest, NoticesPlantedFaults) {
  const std::vector<Scene> scenes = load_scenes().scenes;
  const std::set<std::string> clear_cut = {"color", "shape", "background", "missing", "extra"};
  std::set<std::string> seen;
  for (const ScoredPicture& picture : load_sheet("faults")) {
    if (!clear_cut.contains(picture.fault)) continue;
    const Scene& scene = scenes.at(picture.scene);
    EXPECT_FALSE(score(picture.image, scene.wanted).at("all"))
        << picture.fault << ", " << scene.prompt;
    seen.insert(picture.fault);
  }
  EXPECT_EQ(seen, clear_cut);
}

}  // namespace
}  // namespace flux2::nano
