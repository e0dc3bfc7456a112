#include "models/flux2/derived_config.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

#include "checkpoint/shapes.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

// The published transformers: where one ends early, shapes alone would not tell.
struct Published {
  std::string_view name;
  std::int64_t width;
  std::int64_t double_blocks;
  std::int64_t single_blocks;
};
constexpr std::array kPublished = {Published{"FLUX.2 [dev]", 6144, 8, 48},
                                   Published{"FLUX.2 [klein] 4B", 3072, 5, 20},
                                   Published{"FLUX.2 [klein] 9B", 4096, 8, 24}};

void check_published(const Checkpoint& checkpoint, std::int64_t width, std::int64_t double_blocks,
                     std::int64_t single_blocks) {
  for (const Published& model : kPublished) {
    if (model.width != width) continue;
    if (model.double_blocks == double_blocks && model.single_blocks == single_blocks) return;
    throw Error(ErrorCode::bad_file,
                fmt::format("is as wide as {} but holds {} of its {} double-stream and {} of its "
                            "{} single-stream blocks",
                            model.name, double_blocks, model.double_blocks, single_blocks,
                            model.single_blocks),
                checkpoint.path().string(),
                "get the file again; for a model that is meant to be so, give its folder with "
                "config.json");
  }
}

}  // namespace

ConfigFile derive_transformer_config(const Checkpoint& checkpoint) {
  const auto size = [&](const char* name, int axis) {
    return dimension_of(checkpoint, name, axis);
  };
  const std::int64_t width = size("x_embedder.weight", 0);
  const std::int64_t double_blocks = count_layers(checkpoint, "transformer_blocks.");
  const std::int64_t single_blocks = count_layers(checkpoint, "single_transformer_blocks.");
  check_published(checkpoint, width, double_blocks, single_blocks);

  const bool doubles = double_blocks > 0;
  const std::int64_t head_dim = size(doubles ? "transformer_blocks.0.attn.norm_q.weight"
                                             : "single_transformer_blocks.0.attn.norm_q.weight",
                                     0);
  const std::int64_t mlp = doubles
                               ? size("transformer_blocks.0.ff.linear_in.weight", 0) / 2
                               : size("single_transformer_blocks.0.attn.to_out.weight", 1) - width;
  if (width < 1 || head_dim < 8 || width % head_dim != 0 || head_dim % 8 != 0) {
    throw Error(ErrorCode::bad_file,
                fmt::format("{} columns do not divide into heads of {}", width, head_dim),
                checkpoint.path().string(), "the file is damaged or of another model");
  }
  const bool guided =
      checkpoint.find("time_guidance_embed.guidance_embedder.linear_1.weight") != nullptr;
  const std::string json = fmt::format(
      R"({{"_class_name": "Flux2Transformer2DModel", "in_channels": {}, "out_channels": {},
"num_layers": {}, "num_single_layers": {}, "num_attention_heads": {}, "attention_head_dim": {},
"joint_attention_dim": {}, "timestep_guidance_channels": {}, "mlp_ratio": {},
"axes_dims_rope": [{}, {}, {}, {}], "rope_theta": 2000, "eps": 1e-06, "guidance_embeds": {}}})",
      size("x_embedder.weight", 1), size("proj_out.weight", 0), double_blocks, single_blocks,
      width / head_dim, head_dim, size("context_embedder.weight", 1),
      size("time_guidance_embed.timestep_embedder.linear_1.weight", 1),
      static_cast<double>(mlp) / static_cast<double>(width), head_dim / 4, head_dim / 4,
      head_dim / 4, head_dim / 4, guided);
  return ConfigFile::parse(json, checkpoint.path().string());
}

}  // namespace flux2
