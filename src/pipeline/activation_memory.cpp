#include "pipeline/activation_memory.h"

#include <algorithm>

namespace flux2 {
namespace {

constexpr std::int64_t kStreamSize = 4;  // bytes of an f32

}  // namespace

std::int64_t transformer_activations(const TransformerConfig& config, std::int64_t tokens,
                                     std::int64_t operand_size) {
  const std::int64_t dim = config.dim();
  const std::int64_t projected = 3 * dim + 2 * config.mlp_hidden;
  const std::int64_t combined = dim + config.mlp_hidden;
  const std::int64_t normed = dim;
  return tokens * (dim * kStreamSize + (projected + combined + normed) * operand_size);
}

std::int64_t autoencoder_activations(const AutoencoderConfig& config, std::int64_t pixels,
                                     std::int64_t operand_size) {
  // The first residual block at full size still has the wider channels of the level before: its
  // input, which only a norm and convolutions read, the normed copy, and the narrower result of its
  // convolution. The blocks behind it hold the stream, its normed copy and that result.
  const auto& channels = config.decoder_channels;
  const std::int64_t narrow = std::max(channels.front(), config.encoder_channels.front());
  const std::int64_t wide = channels.size() > 1 ? std::max(channels[1], narrow) : narrow;
  const std::int64_t first = (2 * wide + narrow) * operand_size;
  const std::int64_t behind = narrow * (kStreamSize + 2 * operand_size);
  return pixels * std::max(first, behind);
}

}  // namespace flux2
