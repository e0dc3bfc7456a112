#include "models/language/decoder_config.h"

#include <string>
#include <vector>

#include "flux2/error.h"

namespace flux2 {
namespace {

constexpr double kLargestTheta = 1e15;

[[noreturn]] void refuse(const ConfigFile& config, const std::string& what) {
  throw Error(ErrorCode::bad_file, what, config.name(),
              "only the text encoders that FLUX.2 was trained with are supported");
}

// "default" or absent: plain rope. transformers writes the kind as "rope_type", once as "type";
// that over rows and columns of a picture has been called "axial" since version 5.
void require_plain_rope(const ConfigFile& rope, RopeAxes axes) {
  const std::string kind = rope.text("rope_type", rope.text("type", "default"));
  const bool plain = kind == "default" || (axes == RopeAxes::rows_and_columns && kind == "axial");
  if (!plain) refuse(rope, "rope of type '" + kind + "' is not supported");
}

void require_full_attention(const ConfigFile& config) {
  const bool windowed = config.flag("use_sliding_window", config.has("sliding_window"));
  if (windowed && config.has("sliding_window"))
    refuse(config, "sliding-window attention is not supported");
  for (const std::string& kind : config.texts("layer_types", std::vector<std::string>{})) {
    if (kind != "full_attention")
      refuse(config, "layer_types holds '" + kind + "', which is not supported");
  }
}

BlockShape read_block_shape(const ConfigFile& config) {
  BlockShape block;
  block.width = config.integer("hidden_size", 1, 1 << 17);
  block.heads = config.integer("num_attention_heads", 1, 1 << 12);
  block.kv_heads = config.integer("num_key_value_heads", 1, block.heads, block.heads);
  block.head_dim = config.integer("head_dim", 2, 1 << 12, block.width / block.heads);
  block.mlp_width = config.integer("intermediate_size", 1, 1 << 20);
  block.eps = static_cast<float>(config.number("rms_norm_eps", 0, 1));
  if (block.heads % block.kv_heads != 0) {
    refuse(config, "num_attention_heads " + std::to_string(block.heads) +
                       " is not a multiple of num_key_value_heads " +
                       std::to_string(block.kv_heads));
  }
  if (block.head_dim < 2 || block.head_dim % 2 != 0)
    refuse(config, "head_dim " + std::to_string(block.head_dim) + " is not a positive even number");
  return block;
}

}  // namespace

DecoderConfig read_decoder_config(const ConfigFile& config, HeadWeights tied) {
  require_silu(config);
  require_full_attention(config);
  for (const char* key : {"attention_bias", "mlp_bias"}) {
    if (config.flag(key, false)) refuse(config, std::string(key) + " is not supported");
  }
  const bool is_tied = config.flag("tie_word_embeddings", tied == HeadWeights::tied);
  return {.vocab_size = config.integer("vocab_size", 1, 1 << 24),
          .layers = config.integer("num_hidden_layers", 1, 1 << 10),
          .block = read_block_shape(config),
          .rope_theta = read_rope_theta(config),
          .head = is_tied ? HeadWeights::tied : HeadWeights::separate};
}

double read_rope_theta(const ConfigFile& config, std::optional<double> fallback, RopeAxes axes) {
  require_plain_rope(config.section("rope_scaling"), axes);
  if (!config.has("rope_parameters"))
    return config.number("rope_theta", 1, kLargestTheta, fallback);
  const ConfigFile rope = config.section("rope_parameters");
  require_plain_rope(rope, axes);
  return rope.number("rope_theta", 1, kLargestTheta, fallback);
}

void require_silu(const ConfigFile& config) {
  const std::string activation = config.text("hidden_act", "silu");
  if (activation != "silu")
    refuse(config, "hidden_act '" + activation + "' is not supported, only 'silu' is");
}

}  // namespace flux2
