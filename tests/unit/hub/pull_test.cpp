// The public functions: which files a model needs, offline use, names of models.
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "flux2/error.h"
#include "flux2/hub.h"
#include "flux2/model.h"
#include "hub_server.h"
#include "program.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

const fs::path kModel =
    fs::path(FLUX2_SOURCE_DIR) / "tests/goldens/data/checkpoints/tiny-klein-base";

class Pulls : public testing::Test {
 protected:
  Pulls() {
    server_.add_folder(kModel);
    // What repositories hold besides.
    server_.add("README.md", "# model");
    server_.add("flux-2-tiny.safetensors", patterned(500), HubServer::Kind::large);
    server_.add("vae/diffusion_pytorch_model.bin", patterned(500), HubServer::Kind::large);
    server_.add("vae/diffusion_pytorch_model.fp16.safetensors", patterned(500),
                HubServer::Kind::large);
    server_.add("transformer/model.onnx", patterned(500), HubServer::Kind::large);
    server_.add("text_encoder/pytorch_model.bin.index.json", "{}");
    server_.add("text_encoder/old/config.json", "{}");
    options_.endpoint = server_.endpoint();
    options_.cache_dir = folder_.path();
    options_.token = "";
  }

  std::set<std::string> files_of(const PulledModel& model) const {
    std::set<std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(model.path)) {
      if (entry.is_regular_file())
        files.insert(entry.path().lexically_relative(model.path).generic_string());
    }
    return files;
  }
  static std::set<std::string> files_of_the_model() {
    std::set<std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(kModel)) {
      if (entry.is_regular_file())
        files.insert(entry.path().lexically_relative(kModel).generic_string());
    }
    return files;
  }
  std::string error_of(const std::string& repo) const {
    try {
      pull(repo, options_);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  TemporaryFolder folder_;
  HubServer server_;
  PullOptions options_;
};

TEST_F(Pulls, BringsWhatTheModelNeedsAndNothingElse) {
  const PulledModel model = pull("org/model", options_);
  EXPECT_EQ(files_of(model), files_of_the_model());
  EXPECT_EQ(model.commit, server_.commit());
  EXPECT_EQ(model.revision, "main");
  EXPECT_EQ(model.files, static_cast<int>(files_of_the_model().size()));
  EXPECT_GT(model.bytes, 1'000'000);
  EXPECT_EQ(read_file(folder_.path() / "models--org--model/refs/main"), server_.commit());
  EXPECT_EQ(inspect_model(model.path).name, "org/model");
}

TEST_F(Pulls, ThenWorksOffline) {
  const PulledModel model = pull("org/model", options_);
  const std::size_t requests = server_.seen().size();
  options_.access = HubAccess::offline;
  EXPECT_EQ(pull("org/model", options_).path, model.path);
  EXPECT_EQ(pull("org/model@" + server_.commit(), options_).path, model.path);
  options_.access = HubAccess::cached;
  EXPECT_EQ(pull("org/model", options_).path, model.path);
  EXPECT_EQ(server_.seen().size(), requests);
  options_.access = HubAccess::offline;
  EXPECT_NE(error_of("org/other").find("is not in the cache"), std::string::npos);
}

TEST_F(Pulls, AnIncompleteModelIsNotUsed) {
  const PulledModel model = pull("org/model", options_);
  for (const char* file : {"text_encoder/model-00002-of-00003.safetensors", "vae/config.json",
                           "tokenizer/tokenizer.json", "model_index.json"}) {
    fs::remove(model.path / file);
    options_.access = HubAccess::offline;
    EXPECT_NE(error_of("org/model").find(file), std::string::npos) << error_of("org/model");
    EXPECT_EQ(cached_models(folder_.path()).size(),
              file == std::string("model_index.json") ? 0 : 1);
    options_.access = HubAccess::cached;
    const PulledModel again = pull("org/model", options_);
    EXPECT_EQ(again.files, 1) << file;
    EXPECT_EQ(again.bytes, 0) << "the blob was still there";
  }
}

TEST_F(Pulls, PartsAndPatternsChoose) {
  options_.parts = {"vae"};
  EXPECT_EQ(files_of(pull("org/model", options_)),
            (std::set<std::string>{"model_index.json", "vae/config.json",
                                   "vae/diffusion_pytorch_model.safetensors"}));
  EXPECT_FALSE(cached_models(folder_.path()).front().missing.empty());
  options_.parts = {"wheel"};
  EXPECT_NE(error_of("org/model").find("no part wheel"), std::string::npos);
  options_.parts = {};
  options_.include = {"*.onnx", "READ?E.md"};
  const auto files = files_of(pull("org/model", options_));
  EXPECT_TRUE(files.contains("transformer/model.onnx") && files.contains("README.md"));
  options_.include = {"*.gguf"};
  EXPECT_NE(error_of("org/model").find("it holds flux-2-tiny.safetensors"), std::string::npos);
  options_.parts = {"vae"};
  EXPECT_NE(error_of("org/model").find("not by both"), std::string::npos);
}

TEST_F(Pulls, SayWhatIsWrong) {
  EXPECT_NE(error_of("org/nothing").find("no such repository"), std::string::npos);
  EXPECT_NE(error_of("org/model@v9").find("no revision v9"), std::string::npos);
  EXPECT_NE(error_of("not a name").find("not the name of a repository"), std::string::npos);
  options_.connections = 0;
  EXPECT_NE(error_of("org/model").find("connections"), std::string::npos);
}

TEST_F(Pulls, ARepositoryInAnotherLayoutIsRefusedBeforeItComes) {
  HubServer single("org/single");
  single.add("flux2.safetensors", patterned(500), HubServer::Kind::large);
  options_.endpoint = single.endpoint();
  EXPECT_NE(error_of("org/single").find("choose by --include"), std::string::npos);
  EXPECT_EQ(single.count("HEAD", ""), 0);
}

TEST_F(Pulls, AnIndexThatNamesWhatIsNotThereIsRefused) {
  server_.add("text_encoder/model.safetensors.index.json",
              R"({"weight_map": {"x": "model-00009-of-00009.safetensors"}})");
  EXPECT_NE(error_of("org/model").find("model-00009-of-00009.safetensors"), std::string::npos);
  server_.add("text_encoder/model.safetensors.index.json",
              R"({"weight_map": {"x": "../../../evil.safetensors"}})");
  server_.set_commit(std::string(40, 'd'));
  EXPECT_NE(error_of("org/model").find("not the name of a .safetensors file"), std::string::npos);
}

TEST_F(Pulls, ReportHowFarTheyAre) {
  std::vector<PullProgress> seen;
  options_.progress = [&](const PullProgress& progress) { seen.push_back(progress); };
  pull("org/model", options_);
  ASSERT_GE(seen.size(), 2U);
  EXPECT_EQ(seen.front().total, 0);
  EXPECT_EQ(seen.back().done, seen.back().total);
  EXPECT_EQ(seen.back().files_done, seen.back().files);
}

TEST_F(Pulls, AModelsNameMayBeARepository) {
  EXPECT_TRUE(names_repository("org/model"));
  EXPECT_TRUE(names_repository("org/model@v1"));
  EXPECT_FALSE(names_repository("nano"));
  EXPECT_FALSE(names_repository("./org/model"));
  EXPECT_FALSE(names_repository("/org/model"));
  // A path that exists wins.
  const fs::path before = fs::current_path();
  fs::create_directories(folder_.path() / "org/model");
  fs::current_path(folder_.path());
  EXPECT_FALSE(names_repository("org/model"));
  fs::current_path(before);
}

TEST_F(Pulls, FindModelTakesTheCacheAndAsksTheHubOtherwise) {
  ::setenv("HF_HUB_CACHE", folder_.path().c_str(), 1);
  ::setenv("HF_ENDPOINT", server_.endpoint().c_str(), 1);
  const fs::path found = find_model("org/model");
  EXPECT_TRUE(fs::exists(found / "model_index.json"));
  const std::size_t requests = server_.seen().size();
  EXPECT_EQ(find_model("org/model@main"), found);
  EXPECT_EQ(server_.seen().size(), requests);
  const auto cached = cached_models();
  ASSERT_EQ(cached.size(), 1U);
  EXPECT_EQ(cached.front().repo, "org/model");
  EXPECT_EQ(cached.front().missing, "");
  EXPECT_GT(cached.front().bytes, 1'000'000);
  try {
    find_model("org/mistyped");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_NE(error.hint().find("no folder org/mistyped here"), std::string::npos) << error.what();
  }
  ::unsetenv("HF_HUB_CACHE");
  ::unsetenv("HF_ENDPOINT");
}

}  // namespace
}  // namespace flux2
