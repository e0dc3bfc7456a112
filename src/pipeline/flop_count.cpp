#include "pipeline/flop_count.h"

namespace flux2 {
namespace {

constexpr double kPerProduct = 2;
constexpr double kKernel = 9;  // 3 x 3

double product(std::int64_t from, std::int64_t to) {
  return kPerProduct * static_cast<double>(from) * static_cast<double>(to);
}

// Scores and their sum of values, over all heads.
double attention(std::int64_t tokens, std::int64_t width) {
  const auto count = static_cast<double>(tokens);
  return 2 * kPerProduct * count * count * static_cast<double>(width);
}

// Two convolutions and, where the width changes, a shortcut; for one pixel.
double resnet(std::int64_t from, std::int64_t to) {
  const double shortcut = from == to ? 0 : product(from, to);
  return kKernel * (product(from, to) + product(to, to)) + shortcut;
}

}  // namespace

double transformer_flop(const TransformerConfig& config, std::int64_t txt, std::int64_t img) {
  const std::int64_t dim = config.dim();
  const std::int64_t hidden = config.mlp_hidden;
  const auto tokens = static_cast<double>(txt + img);
  const double attended = attention(txt + img, dim);
  const double double_block =
      tokens * (product(dim, 4 * dim) + product(dim, 2 * hidden) + product(hidden, dim)) + attended;
  const double single_block =
      tokens * (product(dim, 3 * dim + 2 * hidden) + product(dim + hidden, dim)) + attended;
  const double ends = static_cast<double>(img) *
                      (product(config.in_channels, dim) + product(dim, config.out_channels));
  return static_cast<double>(config.double_blocks) * double_block +
         static_cast<double>(config.single_blocks) * single_block + ends;
}

double decoder_flop(const AutoencoderConfig& config, std::int64_t rows, std::int64_t columns) {
  const auto& channels = config.decoder_channels;  // from the picture inward
  std::int64_t width = channels.back();
  auto pixels = static_cast<double>(rows * columns);
  const std::int64_t latent = config.latent_channels;
  double sum = pixels * (kKernel * product(latent, width) + 2 * resnet(width, width));
  if (config.use_post_quant_conv) sum += pixels * product(latent, latent);
  if (config.mid_block_attention) {
    sum += pixels * 4 * product(width, width) + attention(rows * columns, width);
  }
  for (auto next = channels.rbegin(); next != channels.rend(); ++next) {
    sum += pixels * resnet(width, *next);
    width = *next;
    sum += pixels * static_cast<double>(config.layers_per_block) * resnet(width, width);
    if (next + 1 == channels.rend()) break;
    pixels *= 4;
    sum += pixels * kKernel * product(width, width);
  }
  return sum + pixels * kKernel * product(width, config.out_channels);
}

}  // namespace flux2
