#include <algorithm>

#include "images/model_pixels.h"
#include "pipeline/memory.h"
#include "pipeline/stages.h"

namespace flux2 {
namespace {

// [1, H, W, 3] in [-1, 1]
Tensor as_tensor(const Image& rgb) {
  return make_host_tensor({1, rgb.height, rgb.width, 3}, to_model_tensor(rgb));
}

TokenGrid grid_of(const Image& image) {
  return {image.height / Call::kPixelsPerToken, image.width / Call::kPixelsPerToken};
}

// One picture as normalised tokens [1, rows * columns, 128].
Tensor encode_picture(const StageContext& ctx, const Autoencoder& autoencoder,
                      const Image& picture) {
  const Tensor moments = autoencoder.encode(ctx.ops, as_tensor(picture));
  const Tensor mean = moments.slice(3, 0, autoencoder.config().latent_channels);
  Tensor tokens = patchify_to_tokens(mean);
  latent_statistics(autoencoder).normalise(tokens);
  return tokens;
}

}  // namespace

LatentStatistics latent_statistics(const Autoencoder& autoencoder) {
  const auto values = [](const Tensor& tensor) {
    return std::span<const float>(tensor.f32(), static_cast<std::size_t>(tensor.elements()));
  };
  return {values(autoencoder.latent_mean()), values(autoencoder.latent_variance()),
          autoencoder.config().batch_norm_eps};
}

ReferenceTokens encode_references(const StageContext& ctx) {
  ReferenceTokens result;
  const std::vector<Image>& pictures = ctx.call.references;
  if (pictures.empty()) return result;
  const Autoencoder& autoencoder = ctx.parts.autoencoder(CoderSides::both, ctx.ops, ctx.monitor);
  ctx.monitor.begin(Stage::encode_images, static_cast<std::int64_t>(pictures.size()));
  std::int64_t count = 0;
  for (const Image& picture : pictures) {
    result.grids.push_back(grid_of(picture));
    count += result.grids.back().tokens();
  }
  result.tokens = make_host_tensor({1, count, ctx.model.transformer.in_channels});
  std::int64_t place = 0;
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    const Tensor tokens = encode_picture(ctx, autoencoder, pictures[i]);
    const Tensor target = result.tokens.slice(1, place, tokens.dim(1));
    std::copy_n(tokens.f32(), tokens.elements(), target.f32());
    place += tokens.dim(1);
    ctx.monitor.advance(static_cast<std::int64_t>(i) + 1);
  }
  return result;
}

std::vector<Image> decode(const StageContext& ctx, const Tensor& latents) {
  const Autoencoder& autoencoder = ctx.parts.autoencoder(CoderSides::decoder, ctx.ops, ctx.monitor);
  ctx.monitor.begin(Stage::decode, latents.dim(0));
  const LatentStatistics statistics = latent_statistics(autoencoder);
  const Size size = {ctx.call.width(), ctx.call.height()};
  std::vector<Image> pictures;
  for (std::int64_t b = 0; b < latents.dim(0); ++b) {
    const Tensor tokens = make_host_tensor({1, latents.dim(1), latents.dim(2)});
    std::copy_n(latents.slice(0, b, 1).f32(), tokens.elements(), tokens.f32());
    statistics.denormalise(tokens);
    const Tensor picture = autoencoder.decode(ctx.ops, unpatchify_tokens(tokens, ctx.call.grid));
    pictures.push_back(
        from_model_tensor({picture.f32(), static_cast<std::size_t>(picture.elements())}, size));
    ctx.monitor.advance(b + 1);
  }
  return pictures;
}

}  // namespace flux2
