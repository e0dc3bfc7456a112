// `flux2 pull`, and repositories as models, against a local hub.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "hub_server.h"
#include "program.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

class PullCommand : public testing::Test {
 protected:
  PullCommand() {
    server_.add_folder(fs::path(FLUX2_SOURCE_DIR) / "tests/goldens/data/checkpoints/tiny-klein-kv");
    ::setenv("HF_ENDPOINT", server_.endpoint().c_str(), 1);
    ::setenv("HF_HOME", home_.path().c_str(), 1);
    ::unsetenv("HF_HUB_CACHE");
    ::unsetenv("HF_TOKEN");
  }
  ~PullCommand() override {
    ::unsetenv("HF_ENDPOINT");
    ::unsetenv("HF_HOME");
  }

  static bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  }

  TemporaryFolder home_;
  HubServer server_;
};

TEST_F(PullCommand, BringsAModelAndPrintsItsFolder) {
  const Finished finished = run_flux2({"pull", "org/model"});
  ASSERT_EQ(finished.status, 0) << finished.err;
  const std::string folder = finished.out.substr(0, finished.out.size() - 1);
  EXPECT_EQ(folder, home_ / ("hub/models--org--model/snapshots/" + server_.commit()));
  EXPECT_TRUE(fs::exists(fs::path(folder) / "transformer/config.json"));
  EXPECT_TRUE(has(finished.err, "pull org/model")) << finished.err;

  const Finished again = run_flux2({"pull", "org/model@main", "--json", "-q"});
  EXPECT_EQ(Json::parse(again.out)["bytes"], 0);
  EXPECT_EQ(Json::parse(again.out)["commit"], server_.commit());
  EXPECT_EQ(again.err, "");

  const Finished models = run_flux2({"models"});
  EXPECT_TRUE(has(models.out, "In the cache of the Hugging Face Hub:\norg/model: 2.0 MB in "))
      << models.out;
}

TEST_F(PullCommand, AModelMayBeARepository) {
  const std::vector<std::string> draw = {
      "generate", "-m", "org/model",    "-p", "x",      "--width", "64",
      "--height", "64", "--steps",      "1",  "--seed", "1",       "--max-sequence-length",
      "32",       "-o", home_ / "a.png"};
  const Finished first = run_flux2(draw);
  ASSERT_EQ(first.status, 0) << first.err;
  EXPECT_TRUE(has(first.err, "pull org/model")) << first.err;
  const std::size_t requests = server_.seen().size();
  ::setenv("HF_HUB_OFFLINE", "1", 1);
  const Finished second = run_flux2(draw);
  ::unsetenv("HF_HUB_OFFLINE");
  EXPECT_EQ(second.status, 0) << second.err;
  EXPECT_EQ(server_.seen().size(), requests);
  EXPECT_TRUE(has(run_flux2({"models", "org/model"}).out, "org/model: ")) << second.err;
}

TEST_F(PullCommand, FailuresAreOneLineAndAStatus) {
  const auto expect = [](const Finished& finished, int status, const std::string& part) {
    EXPECT_EQ(finished.status, status) << finished.err;
    EXPECT_TRUE(has(finished.err, part)) << finished.err;
    EXPECT_EQ(finished.out, "");
  };
  expect(run_flux2({"pull", "org/other", "--progress", "none"}), 3, "no such repository");
  expect(run_flux2({"pull", "no-slash"}), 2, "not the name of a repository");
  expect(run_flux2({"pull"}), 2, "repository");
  expect(run_flux2({"pull", "org/model", "--only", "wheel"}), 2, "no part wheel");
  expect(run_flux2({"pull", "org/model", "--only", "vae", "--include", "*"}), 2, "--only");
  ::setenv("HF_HUB_OFFLINE", "1", 1);
  expect(run_flux2({"pull", "org/model"}), 3, "HF_HUB_OFFLINE is set");
  ::unsetenv("HF_HUB_OFFLINE");
  expect(run_shell("ulimit -f 100; \"$0\" pull org/model"), 3, "cannot write");
  EXPECT_EQ(run_flux2({"pull", "org/model", "-q"}).status, 0) << "after too little space";
}

TEST_F(PullCommand, CtrlCEndsItAndTheNextRunGoesOn) {
  server_.set_fault([](const SeenRequest& request, ServedAnswer& answer) {
    if (request.has("/storage/")) answer = {.status = 503, .headers = {{"Retry-After", "200"}}};
  });
  Process process({FLUX2_PROGRAM, "pull", "org/model", "--progress", "plain"});
  // The weights are waited for.
  while (server_.count("GET", "/storage/") == 0)
    std::this_thread::yield();
  process.send(SIGINT);
  const Finished finished = process.finish();
  EXPECT_EQ(finished.status, 5) << finished.err;
  server_.set_fault({});
  EXPECT_EQ(run_flux2({"pull", "org/model", "-q"}).status, 0);
}

}  // namespace
}  // namespace flux2
