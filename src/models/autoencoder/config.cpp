#include "models/autoencoder/config.h"

#include <fmt/format.h>

#include "flux2/error.h"

namespace flux2 {
namespace {

constexpr std::int64_t kMostChannels = 1 << 16;

void check(const AutoencoderConfig& config, const ConfigFile& file) {
  const auto fail = [&](const std::string& message) {
    throw Error(ErrorCode::bad_file, message, file.name());
  };
  if (config.encoder_channels.empty() || config.encoder_channels.size() > 8) {
    fail("block_out_channels must have 1 to 8 entries");
  }
  if (config.decoder_channels.size() != config.encoder_channels.size()) {
    fail("decoder_block_out_channels and block_out_channels differ in length");
  }
  for (const auto* side : {&config.encoder_channels, &config.decoder_channels}) {
    for (const std::int64_t channels : *side) {
      if (channels % config.norm_groups != 0) {
        fail(fmt::format("{} channels cannot be split into norm_num_groups {}", channels,
                         config.norm_groups));
      }
    }
  }
}

}  // namespace

AutoencoderConfig AutoencoderConfig::read(const ConfigFile& file) {
  AutoencoderConfig config;
  config.in_channels = file.integer("in_channels", 1, 16, config.in_channels);
  config.out_channels = file.integer("out_channels", 1, 16, config.out_channels);
  config.latent_channels = file.integer("latent_channels", 1, 1024, config.latent_channels);
  config.encoder_channels =
      file.integers("block_out_channels", 1, kMostChannels, config.encoder_channels);
  config.decoder_channels =
      file.integers("decoder_block_out_channels", 1, kMostChannels, config.encoder_channels);
  config.layers_per_block = file.integer("layers_per_block", 1, 64, config.layers_per_block);
  config.norm_groups = file.integer("norm_num_groups", 1, kMostChannels, config.norm_groups);
  config.batch_norm_eps = static_cast<float>(file.number("batch_norm_eps", 0, 1, 1e-4));
  config.sample_size = file.integer("sample_size", 8, 1 << 16, config.sample_size);
  config.use_quant_conv = file.flag("use_quant_conv", true);
  config.use_post_quant_conv = file.flag("use_post_quant_conv", true);
  config.mid_block_attention = file.flag("mid_block_add_attention", true);
  if (file.text("act_fn", "silu") != "silu") {
    throw Error(ErrorCode::bad_file, "act_fn must be silu", file.name());
  }
  if (file.integers("patch_size", 1, 64, std::vector<std::int64_t>{2, 2}) !=
      std::vector<std::int64_t>{2, 2}) {
    throw Error(ErrorCode::bad_file, "patch_size must be [2, 2]", file.name());
  }
  check(config, file);
  return config;
}

}  // namespace flux2
