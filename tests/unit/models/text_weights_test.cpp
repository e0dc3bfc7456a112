// Names and extents of text encoders in checkpoints.
#include <gtest/gtest.h>

#include <unistd.h>
#include <filesystem>
#include <limits>
#include <map>

#include "backends/reference/reference_ops.h"
#include "checkpoint/safetensors.h"
#include "flux2/error.h"
#include "models/language/language_model.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

const fs::path kCheckpoints = fs::path(FLUX2_SOURCE_DIR) / "tests/goldens/data/checkpoints";

// A folder that goes away with the test.
class TemporaryFolder {
 public:
  TemporaryFolder()
      : path_(fs::temp_directory_path() / ("flux2-text-" + std::to_string(::getpid()))) {
    fs::create_directories(path_);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

using Tensors = std::map<std::string, Tensor>;

Tensors read_tensors(const std::string& name) {
  Tensors tensors;
  const Checkpoint checkpoint = Checkpoint::open(kCheckpoints / name / "text_encoder", "model");
  for (const auto& [key, stored] : checkpoint.tensors()) {
    const Tensor tensor = make_host_tensor(stored.shape);
    convert_to_float(stored.dtype, stored.bytes.data(), tensor.f32(),
                     static_cast<std::size_t>(tensor.elements()));
    tensors.emplace(key, tensor);
  }
  return tensors;
}

// Renames by prefix, the first that fits.
Tensors renamed(const Tensors& tensors,
                const std::vector<std::pair<std::string, std::string>>& prefixes) {
  Tensors result;
  for (const auto& [name, tensor] : tensors) {
    std::string key = name;
    for (const auto& [from, to] : prefixes) {
      if (!name.starts_with(from)) continue;
      key = to + name.substr(from.size());
      break;
    }
    result.emplace(key, tensor);
  }
  return result;
}

ConfigFile config_of(const std::string& name) {
  return ConfigFile::read(kCheckpoints / name / "text_encoder/config.json");
}

// Hidden states of a short text after loading `tensors` with the config of checkpoint `name`.
std::vector<float> states(const std::string& name, const Tensors& tensors, const DecoderUse& use) {
  const TemporaryFolder folder;
  write_safetensors(folder.path() / "model.safetensors", tensors);
  const Checkpoint checkpoint = Checkpoint::open(folder.path(), "model");
  const auto ops = make_reference_ops();
  const auto model = make_language_model(config_of(name), use);
  model->weights(checkpoint).load(checkpoint, *ops);
  const std::vector<std::int64_t> taps = {2};
  return to_vector(ops->download(model->decoder().hidden_states(
      *ops, {.ids = {5, 6, 7}, .real = {{0, 3}}, .length = 3}, taps)));
}

std::string error_of(const std::string& name, const Tensors& tensors, const DecoderUse& use) {
  try {
    states(name, tensors, use);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_file);
    return error.what();
  }
  return "no error";
}

const DecoderUse kTwoLayers = {.taps = {2}};
const DecoderUse kGeneration = {.taps = {}, .generation = DecoderUse::Generation::yes};

TEST(TextWeights, EveryNestingOfNamesIsTheSameModel) {
  const Tensors saved = read_tensors("tiny-dev");
  const std::vector<float> expected = states("tiny-dev", saved, kGeneration);
  const std::vector<std::vector<std::pair<std::string, std::string>>> nestings = {
      {{"language_model.model.", "model.language_model."},
       {"language_model.lm_head.", "lm_head."},
       {"", "model."}},
      {{"language_model.", ""}},
      {{"language_model.", "text_encoder."}, {"", "text_encoder."}}};
  for (const auto& nesting : nestings)
    EXPECT_EQ(states("tiny-dev", renamed(saved, nesting), kGeneration), expected);
}

TEST(TextWeights, LayersBeyondTheLastTapAreNeverRead) {
  for (const std::string name : {"tiny-klein-base", "tiny-dev"}) {
    Tensors tensors = read_tensors(name);
    const std::vector<float> expected = states(name, tensors, kTwoLayers);
    Tensors fewer = tensors;
    for (auto& [key, tensor] : tensors) {
      const bool needed = key.find("embed_tokens") != std::string::npos ||
                          key.find("layers.0.") != std::string::npos ||
                          key.find("layers.1.") != std::string::npos;
      if (needed && !key.starts_with("vision")) continue;
      std::fill_n(tensor.f32(), tensor.elements(), std::numeric_limits<float>::quiet_NaN());
      fewer.erase(key);
    }
    EXPECT_EQ(states(name, tensors, kTwoLayers), expected) << name;
    EXPECT_EQ(states(name, fewer, kTwoLayers), expected) << name;
    EXPECT_NE(error_of(name, tensors, kGeneration), "no error") << name;
  }
}

TEST(TextWeights, AMissingOrSurplusTensorIsNamed) {
  Tensors missing = read_tensors("tiny-klein");
  missing.erase("model.layers.1.self_attn.k_norm.weight");
  EXPECT_NE(error_of("tiny-klein", missing, kTwoLayers).find("layers.1.self_attn.k_norm.weight"),
            std::string::npos);

  Tensors surplus = read_tensors("tiny-klein");
  surplus.emplace("model.layers.28.mlp.up_proj.weight", make_host_tensor({1}));
  EXPECT_NE(error_of("tiny-klein", surplus, kTwoLayers).find("layers.28.mlp.up_proj.weight"),
            std::string::npos);

  Tensors headless = read_tensors("tiny-klein-base");
  headless.erase("lm_head.weight");
  EXPECT_EQ(error_of("tiny-klein-base", headless, kTwoLayers), "no error");
  EXPECT_NE(error_of("tiny-klein-base", headless, kGeneration).find("lm_head.weight"),
            std::string::npos);
}

TEST(TextWeights, ACheckpointWithoutLanguageModelIsRefused) {
  const Tensors tensors = {{"conv_in.weight", make_host_tensor({1})}};
  EXPECT_NE(error_of("tiny-klein", tensors, kTwoLayers).find("embed_tokens.weight"),
            std::string::npos);
}

}  // namespace
}  // namespace flux2
