#include "models/autoencoder/derived_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "checkpoint/shapes.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

// The channels of each level of a coder, in the order of its blocks.
std::vector<std::int64_t> channels_of(const Checkpoint& checkpoint, const std::string& blocks) {
  std::vector<std::int64_t> channels;
  const std::int64_t levels = count_layers(checkpoint, blocks);
  for (std::int64_t i = 0; i < levels; ++i) {
    channels.push_back(
        dimension_of(checkpoint, fmt::format("{}{}.resnets.0.conv1.weight", blocks, i), 0));
  }
  return channels;
}

// FLUX.2's VAE normalises its latents with statistics of its own; no other one has them.
void require_flux2(const Checkpoint& checkpoint) {
  if (checkpoint.find("bn.running_mean") != nullptr) return;
  throw Error(ErrorCode::bad_file,
              fmt::format("is the VAE of another model: it has {} latent channels and no "
                          "bn.running_mean",
                          dimension_of(checkpoint, "decoder.conv_in.weight", 1)),
              checkpoint.path().string(),
              "FLUX.2's VAE is flux2-vae.safetensors or ae.safetensors "
              "of a FLUX.2 repository");
}

}  // namespace

ConfigFile derive_autoencoder_config(const Checkpoint& checkpoint) {
  require_flux2(checkpoint);
  std::vector<std::int64_t> decoder = channels_of(checkpoint, "decoder.up_blocks.");
  std::reverse(decoder.begin(), decoder.end());
  std::vector<std::int64_t> encoder = channels_of(checkpoint, "encoder.down_blocks.");
  if (encoder.empty()) encoder = decoder;
  const auto has = [&](const char* name) { return checkpoint.find(name) != nullptr; };
  const std::string json = fmt::format(
      R"({{"_class_name": "AutoencoderKLFlux2", "in_channels": 3, "out_channels": {},
"latent_channels": {}, "block_out_channels": [{}], "decoder_block_out_channels": [{}],
"layers_per_block": {}, "use_quant_conv": {}, "use_post_quant_conv": {},
"mid_block_add_attention": {}}})",
      dimension_of(checkpoint, "decoder.conv_out.weight", 0),
      dimension_of(checkpoint, "decoder.conv_in.weight", 1), fmt::join(encoder, ", "),
      fmt::join(decoder, ", "), count_layers(checkpoint, "decoder.up_blocks.0.resnets.") - 1,
      has("quant_conv.weight") || !has("encoder.conv_in.weight"), has("post_quant_conv.weight"),
      has("decoder.mid_block.attentions.0.to_q.weight"));
  return ConfigFile::parse(json, checkpoint.path().string());
}

}  // namespace flux2
