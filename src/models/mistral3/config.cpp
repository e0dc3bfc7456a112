#include "models/mistral3/config.h"

#include <limits>
#include <string>

#include "flux2/error.h"

namespace flux2 {
namespace {

constexpr float kVisionEps = 1e-5f;  // fixed in the code of transformers, in no config

VisionConfig read_vision_config(const ConfigFile& config) {
  require_silu(config);
  VisionConfig vision;
  vision.layers = config.integer("num_hidden_layers", 1, 1 << 10);
  vision.channels = config.integer("num_channels", 1, 16, 3);
  vision.patch_size = config.integer("patch_size", 1, 256);
  vision.rope_theta = read_rope_theta(config, 10000.0, RopeAxes::rows_and_columns);

  BlockShape& block = vision.block;
  block.width = config.integer("hidden_size", 1, 1 << 17);
  block.heads = config.integer("num_attention_heads", 1, 1 << 12);
  block.kv_heads = block.heads;
  block.head_dim = config.integer("head_dim", 1, 1 << 12, block.width / block.heads);
  block.mlp_width = config.integer("intermediate_size", 1, 1 << 20);
  block.eps = kVisionEps;
  // transformers projects to `width` columns and cuts those into heads.
  if (block.head_dim % 4 != 0 || block.head_dim * block.heads != block.width) {
    throw Error(ErrorCode::bad_file,
                std::to_string(block.heads) + " heads of " + std::to_string(block.head_dim) +
                    " do not divide hidden_size " + std::to_string(block.width) +
                    " into heads whose width is a multiple of 4",
                config.name());
  }
  return vision;
}

void require(bool supported, const ConfigFile& config, const char* what) {
  if (!supported) throw Error(ErrorCode::bad_file, what, config.name());
}

}  // namespace

Mistral3Config read_mistral3_config(const ConfigFile& config) {
  Mistral3Config mistral;
  // transformers takes a missing flag for true; some checkpoints set it outside text_config.
  const bool tied = config.flag("tie_word_embeddings", true);
  mistral.text = read_decoder_config(config.section("text_config"),
                                     tied ? HeadWeights::tied : HeadWeights::separate);
  if (!config.has("vision_config")) return mistral;

  mistral.vision = read_vision_config(config.section("vision_config"));
  mistral.merge_size = config.integer("spatial_merge_size", 1, 16, 2);
  const std::int64_t picture_token = config.integer(
      "image_token_index", 0, std::numeric_limits<std::int32_t>::max(),
      config.integer("image_token_id", 0, std::numeric_limits<std::int32_t>::max(), 10));
  mistral.picture_token = static_cast<std::int32_t>(picture_token);
  require(config.integer("vision_feature_layer", -1024, 1024, -1) == -1, config,
          "vision_feature_layer is not -1, the last layer");
  require(!config.flag("multimodal_projector_bias", false), config,
          "multimodal_projector_bias is not supported");
  require(config.text("projector_hidden_act", "gelu") == "gelu", config,
          "projector_hidden_act is not 'gelu'");
  return mistral;
}

}  // namespace flux2
