#include "models/autoencoder/weights.h"

#include <utility>

namespace flux2 {
namespace {

// Declares the parts of one coder; holds what all of them need.
class CoderDeclaration {
 public:
  explicit CoderDeclaration(const AutoencoderConfig& config) : config_(config) {}

  void norm(const WeightsScope& scope, GroupNorm& norm, const std::string& name,
            std::int64_t channels) const {
    norm.groups = config_.norm_groups;
    norm.eps = config_.norm_eps;
    scope.vector(norm.weight, {name + ".weight", {channels}});
    scope.vector(norm.bias, {name + ".bias", {channels}});
  }

  void resnet(const WeightsScope& scope, ResnetWeights& weights, std::int64_t in,
              std::int64_t out) const {
    norm(scope, weights.norm1, "norm1", in);
    scope.conv2d(weights.conv1, "conv1", out, in, 3);
    norm(scope, weights.norm2, "norm2", out);
    scope.conv2d(weights.conv2, "conv2", out, out, 3);
    if (in != out) scope.conv2d(weights.shortcut, "conv_shortcut", out, in, 1);
  }

  void mid_block(const WeightsScope& scope, MidBlockWeights& weights, std::int64_t channels) const {
    resnet(scope.in("resnets", 0), weights.before, channels, channels);
    if (config_.mid_block_attention) {
      attention(scope.in("attentions", 0), weights.attention, channels);
    }
    resnet(scope.in("resnets", 1), weights.after, channels, channels);
  }

  // `channels` in the order of the levels; `resnets` of each.
  void levels(const WeightsScope& scope, CoderWeights& weights, const std::string& blocks,
              const std::string& resampler, const std::vector<std::int64_t>& channels,
              std::int64_t resnets) const {
    weights.levels.resize(channels.size());
    std::int64_t in = channels.front();
    for (std::size_t i = 0; i < channels.size(); ++i) {
      const WeightsScope level = scope.in(blocks, static_cast<std::int64_t>(i));
      const std::int64_t out = channels[i];
      weights.levels[i].resnets.resize(static_cast<std::size_t>(resnets));
      for (std::int64_t j = 0; j < resnets; ++j) {
        resnet(level.in("resnets", j), weights.levels[i].resnets[static_cast<std::size_t>(j)],
               j == 0 ? in : out, out);
      }
      if (i + 1 < channels.size()) {
        level.in(resampler, 0).conv2d(weights.levels[i].resample, "conv", out, out, 3);
      }
      in = out;
    }
  }

 private:
  void attention(const WeightsScope& scope, PixelAttentionWeights& weights,
                 std::int64_t channels) const {
    norm(scope, weights.norm, "group_norm", channels);
    for (const auto& [target, name] : {std::pair<Weight&, const char*>{weights.q, "to_q"},
                                       {weights.k, "to_k"},
                                       {weights.v, "to_v"},
                                       {weights.out, "to_out.0"}}) {
      scope.linear_with_bias(target, name, channels, channels);
    }
  }

  const AutoencoderConfig& config_;
};

void declare_encoder(const WeightsScope& model, CoderWeights& weights,
                     const AutoencoderConfig& config) {
  const CoderDeclaration declaration(config);
  const WeightsScope scope = model.in("encoder");
  const std::vector<std::int64_t>& channels = config.encoder_channels;
  const std::int64_t moments = 2 * config.latent_channels;
  scope.conv2d(weights.conv_in, "conv_in", channels.front(), config.in_channels, 3);
  declaration.levels(scope, weights, "down_blocks", "downsamplers", channels,
                     config.layers_per_block);
  declaration.mid_block(scope.in("mid_block"), weights.mid, channels.back());
  declaration.norm(scope, weights.norm_out, "conv_norm_out", channels.back());
  scope.conv2d(weights.conv_out, "conv_out", moments, channels.back(), 3);
  if (config.use_quant_conv) model.conv2d(weights.quant, "quant_conv", moments, moments, 1);
}

void declare_decoder(const WeightsScope& model, CoderWeights& weights,
                     const AutoencoderConfig& config) {
  const CoderDeclaration declaration(config);
  const WeightsScope scope = model.in("decoder");
  const std::vector<std::int64_t> channels(config.decoder_channels.rbegin(),
                                           config.decoder_channels.rend());
  const std::int64_t latent = config.latent_channels;
  if (config.use_post_quant_conv) model.conv2d(weights.quant, "post_quant_conv", latent, latent, 1);
  scope.conv2d(weights.conv_in, "conv_in", channels.front(), latent, 3);
  declaration.mid_block(scope.in("mid_block"), weights.mid, channels.front());
  declaration.levels(scope, weights, "up_blocks", "upsamplers", channels,
                     config.layers_per_block + 1);
  declaration.norm(scope, weights.norm_out, "conv_norm_out", channels.back());
  scope.conv2d(weights.conv_out, "conv_out", config.out_channels, channels.back(), 3);
}

}  // namespace

void declare(WeightsTable& table, AutoencoderWeights& weights, const AutoencoderConfig& config) {
  const WeightsScope model(table);
  declare_encoder(model, weights.encoder, config);
  declare_decoder(model, weights.decoder, config);
  const Shape patch = {config.patch_channels()};
  model.vector(weights.latent_mean, {"bn.running_mean", patch});
  model.vector(weights.latent_variance, {"bn.running_var", patch});
  model.unused({"bn.num_batches_tracked", {}});
}

}  // namespace flux2
