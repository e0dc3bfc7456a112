#include "checkpoint/model_facts.h"

#include <string>

#include "checkpoint/config_file.h"

namespace flux2 {
namespace {

constexpr std::int64_t kMostHeadDim = 1 << 12;
constexpr double kLargestTheta = 1e15;

}  // namespace

ModelFacts read_mistral_params(const std::filesystem::path& folder) {
  ModelFacts facts;
  const std::filesystem::path path = folder / "params.json";
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return facts;
  const ConfigFile params = ConfigFile::read(path);
  if (params.has("head_dim")) facts.head_dim = params.integer("head_dim", 2, kMostHeadDim);
  if (params.has("rope_theta")) facts.rope_theta = params.number("rope_theta", 1, kLargestTheta);
  if (params.has("norm_eps")) facts.rms_norm_eps = params.number("norm_eps", 0, 1);
  if (!params.has("vision_encoder")) return facts;
  const ConfigFile vision = params.section("vision_encoder");
  const std::int64_t width = vision.integer("hidden_size", 1, 1 << 17);
  facts.vision_head_dim = width / vision.integer("num_attention_heads", 1, width);
  return facts;
}

ModelFacts read_gguf_facts(const Metadata& metadata) {
  ModelFacts facts;
  const std::string* architecture = metadata.text("general.architecture");
  if (architecture == nullptr) return facts;
  const std::string attention = *architecture + ".attention.";
  // What is out of range is judged where it meets the shapes.
  facts.head_dim = metadata.integer(attention + "key_length");
  facts.rms_norm_eps = metadata.number(attention + "layer_norm_rms_epsilon");
  facts.rope_theta = metadata.number(*architecture + ".rope.freq_base");
  facts.layers = metadata.integer(*architecture + ".block_count");
  return facts;
}

}  // namespace flux2
