#include "checkpoint/checkpoint.h"

#include <gtest/gtest.h>

#include <array>
#include <set>

#include "checkpoint/safetensors.h"
#include "support.h"

namespace flux2::test {
namespace {

namespace fs = std::filesystem;

void write_weights(const fs::path& path, const std::vector<std::string>& names, float value = 0) {
  std::map<std::string, Tensor> tensors;
  for (const std::string& name : names)
    tensors.emplace(name, make_host_tensor({1}, std::array{value}));
  write_safetensors(path, tensors);
}

float value_of(const Checkpoint& checkpoint, const std::string& name) {
  return to_host_tensor(*checkpoint.find(name)).f32()[0];
}

TEST(Checkpoint, OpensEveryGoldenCheckpoint) {
  int parts = 0;
  for (const auto& model : fs::directory_iterator(golden_checkpoints())) {
    for (const auto& [part, stem] :
         {std::pair{"transformer", "diffusion_pytorch_model"},
          std::pair{"vae", "diffusion_pytorch_model"}, std::pair{"text_encoder", "model"}}) {
      if (!fs::is_directory(model.path() / part)) continue;
      const Checkpoint checkpoint = Checkpoint::open(model.path() / part, stem);
      EXPECT_GT(checkpoint.tensors().size(), 10u) << model.path();
      std::size_t bytes = 0;
      for (const auto& [name, tensor] : checkpoint.tensors()) {
        EXPECT_EQ(checkpoint.find(name), &tensor);
        bytes += tensor.bytes.size();
      }
      EXPECT_EQ(bytes, checkpoint.bytes());
      ++parts;
    }
  }
  EXPECT_GE(parts, 13);
}

TEST(Checkpoint, JoinsShards) {
  const fs::path folder = golden_checkpoints() / "tiny-klein-base/text_encoder";
  const Checkpoint checkpoint = Checkpoint::open(folder, "model");
  std::set<std::string> files;
  for (const auto& [name, tensor] : checkpoint.tensors())
    files.insert(tensor.file);
  EXPECT_EQ(files.size(), 3u);
  EXPECT_EQ(checkpoint.bytes(), 833400u);  // total_size of the index
  EXPECT_EQ(checkpoint.find("nothing"), nullptr);
  const Checkpoint by_index = Checkpoint::open(folder / "model.safetensors.index.json", "");
  EXPECT_EQ(by_index.tensors().size(), checkpoint.tensors().size());
}

TEST(Checkpoint, PrefersIndexThenPlainThenVariants) {
  const TemporaryFolder folder;
  const auto value = [&] { return value_of(Checkpoint::open(folder.path(), "model"), "a"); };
  write_weights(folder / "model.fp16.safetensors", {"a"}, 1);
  EXPECT_EQ(value(), 1);
  write_weights(folder / "model.bf16.safetensors", {"a"}, 2);
  EXPECT_EQ(value(), 2);
  write_weights(folder / "shard.safetensors", {"a"}, 3);
  write_text(folder / "model.safetensors.index.bf16.json",
             R"({"weight_map":{"a":"shard.safetensors"}})");
  EXPECT_EQ(value(), 3);
  write_weights(folder / "other.safetensors", {"a"}, 4);
  write_text(folder / "model.bf16.safetensors.index.json",
             R"({"weight_map":{"a":"other.safetensors"}})");
  EXPECT_EQ(value(), 4);
  write_weights(folder / "model.safetensors", {"a"}, 5);
  EXPECT_EQ(value(), 5);
  write_text(folder / "model.safetensors.index.json",
             R"({"metadata":{"total_size":4},"weight_map":{"a":"shard.safetensors"}})");
  EXPECT_EQ(value(), 3);
  EXPECT_EQ(value_of(Checkpoint::open(folder / "other.safetensors", "model"), "a"), 4);
}

TEST(Checkpoint, FollowsLinksAsDownloadCachesMakeThem) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "blobs");
  fs::create_directory(folder / "snapshot");
  write_weights(folder / "blobs" / "0123", {"a"}, 6);
  fs::create_symlink("../blobs/0123", folder / "snapshot" / "model.safetensors");
  EXPECT_EQ(value_of(Checkpoint::open(folder / "snapshot", "model"), "a"), 6);
}

TEST(Checkpoint, SaysWhatItLookedFor) {
  const TemporaryFolder folder;
  const std::string empty = refusal_of([&] { Checkpoint::open(folder.path(), "model"); });
  expect_part(empty, folder.path().string());
  expect_part(empty, "holds no model.safetensors");
  expect_part(refusal_of([&] { Checkpoint::open(folder / "none", "model"); }), "none: there is no");
}

struct BadIndex {
  const char* what;
  std::string json;
  std::vector<const char*> parts;  // of the message
};

class DamagedIndex : public testing::TestWithParam<BadIndex> {};

TEST_P(DamagedIndex, IsRefusedByName) {
  const TemporaryFolder outer;
  const fs::path folder = outer / "model";
  fs::create_directory(folder);
  write_weights(outer / "outside.safetensors", {"a"});
  write_weights(folder / "one.safetensors", {"a", "b"});
  write_weights(folder / "two.safetensors", {"b", "c"});
  write_weights(folder / "cut.safetensors", {"d"});
  fs::resize_file(folder / "cut.safetensors", 20);
  write_text(folder / "model.safetensors.index.json", GetParam().json);
  const std::string line = refusal_of([&] { Checkpoint::open(folder, "model"); });
  expect_part(line, folder.string());
  for (const char* part : GetParam().parts)
    expect_part(line, part);
}

std::string map(const std::string& entries) {
  return R"({"weight_map":{)" + entries + "}}";
}

const BadIndex kBadIndices[] = {
    {"NotJson", "{", {"index.json", "not JSON"}},
    {"Empty", "", {"index.json", "not JSON"}},
    {"NoMap", "{}", {"index.json", "weight_map"}},
    {"MapIsAList", R"({"weight_map":[]})", {"index.json", "weight_map"}},
    {"MapIsNull", R"({"weight_map":null})", {"index.json", "weight_map"}},
    {"ShardIsANumber", map(R"("a":1)"), {"index.json", "weight_map.a"}},
    {"ShardIsNull", map(R"("a":null)"), {"index.json", "weight_map.a"}},
    {"MissingShard",
     map(R"("a":"none.safetensors")"),
     {"\"a\"", "\"none.safetensors\"", "not there"}},
    {"MissingTensor", map(R"("x":"one.safetensors")"), {"\"x\"", "does not hold it"}},
    {"OtherShard", map(R"("a":"two.safetensors","b":"two.safetensors")"), {"\"a\""}},
    {"Parent", map(R"("a":"../outside.safetensors")"), {"\"a\"", "\"../outside.safetensors\""}},
    {"Absolute", map(R"("a":"/etc/passwd")"), {"\"a\"", "/etc/passwd"}},
    {"Backslash", map(R"("a":"..\\outside.safetensors")"), {"\"a\""}},
    {"Nul", map(R"("a":"one.safetensors\u0000.safetensors")"), {"\"a\""}},
    {"Itself", map(R"("a":"model.safetensors.index.json")"), {"\"a\"", "index.json"}},
    {"NoName", map(R"("a":"")"), {"\"a\""}},
    {"OnlyAnEnding", map(R"("a":".safetensors")"), {"\"a\""}},
    {"Twice",
     map(R"("a":"one.safetensors","c":"two.safetensors")"),
     {"\"b\" is also in", "one.safe"}},
    {"ListedTwice", map(R"("a":"one.safetensors","a":"two.safetensors")"), {"\"a\" twice"}},
    {"CutShard", map(R"("d":"cut.safetensors")"), {"cut.safetensors", "ends inside its header"}},
};

INSTANTIATE_TEST_SUITE_P(Checkpoint, DamagedIndex, testing::ValuesIn(kBadIndices),
                         [](const auto& test) { return std::string(test.param.what); });

}  // namespace
}  // namespace flux2::test
