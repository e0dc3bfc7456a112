#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "images/model_pixels.h"
#include "pipeline/activation_memory.h"
#include "pipeline/arrays.h"
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

// Tokens [1, n, 128] of several pictures, one after another.
Tensor joined(const std::vector<Tensor>& pictures) {
  std::int64_t count = 0;
  for (const Tensor& tokens : pictures)
    count += tokens.dim(1);
  Tensor result = make_host_tensor({1, count, pictures.front().dim(2)});
  std::int64_t place = 0;
  for (const Tensor& tokens : pictures) {
    std::copy_n(tokens.f32(), tokens.elements(), result.slice(1, place, tokens.dim(1)).f32());
    place += tokens.dim(1);
  }
  return result;
}

// A picture is decoded whole where memory allows. If even the tiles of enable_tiling() would not
// fit, the call ends here.
std::optional<Tiling> choose_tiling(const StageContext& ctx, const Autoencoder& autoencoder) {
  const auto needed = [&](std::int64_t width, std::int64_t height) {
    return autoencoder_activations(autoencoder.config(), width * height, ctx.parts.operand_size());
  };
  const std::int64_t whole = needed(ctx.call.width(), ctx.call.height());
  if (ctx.parts.has_room(whole)) return {};
  ctx.parts.release_models();
  if (ctx.parts.has_room(whole)) return {};
  const Tiling tiling = autoencoder.tiling();
  require_memory(needed(std::min<std::int64_t>(tiling.sample_size, ctx.call.width()),
                        std::min<std::int64_t>(tiling.sample_size, ctx.call.height())),
                 "decoding", "ask for a smaller picture, or save the latents");
  ctx.monitor.warn(fmt::format("decoded in tiles of {} pixels, since {} would not fit",
                               tiling.sample_size, format_bytes(whole)));
  return tiling;
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
  std::vector<const Image*> pictures;
  const std::optional<InpaintPlan>& inpaint = ctx.call.inpaint;
  const std::optional<FloatArray> latents =
      inpaint ? ctx.call.request.inpaint->image_latents : std::nullopt;
  if (inpaint && !latents) pictures.push_back(&inpaint->picture);
  for (const Image& picture : ctx.call.references)
    pictures.push_back(&picture);

  ReferenceTokens result;
  if (pictures.empty() && !latents) return result;
  const CoderSides sides = pictures.empty() ? CoderSides::decoder : CoderSides::both;
  const Autoencoder& autoencoder = ctx.parts.autoencoder(sides, ctx.ops, ctx.monitor);
  ctx.monitor.begin(Stage::encode_images, static_cast<std::int64_t>(pictures.size()));
  std::vector<Tensor> tokens;
  if (latents) {
    tokens.push_back(pack(to_tensor(*latents)));
    latent_statistics(autoencoder).normalise(tokens.back());
    result.grids.push_back(inpaint->grid);
  }
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    tokens.push_back(encode_picture(ctx, autoencoder, *pictures[i]));
    result.grids.push_back(grid_of(*pictures[i]));
    ctx.monitor.advance(static_cast<std::int64_t>(i) + 1);
  }
  result.tokens = joined(tokens);
  return result;
}

std::vector<Image> decode(const StageContext& ctx, const Tensor& latents) {
  const Autoencoder& autoencoder = ctx.parts.autoencoder(CoderSides::decoder, ctx.ops, ctx.monitor);
  const std::optional<Tiling> tiling = choose_tiling(ctx, autoencoder);
  ctx.monitor.begin(Stage::decode, latents.dim(0));
  const LatentStatistics statistics = latent_statistics(autoencoder);
  const Size size = {ctx.call.width(), ctx.call.height()};
  std::vector<Image> pictures;
  for (std::int64_t b = 0; b < latents.dim(0); ++b) {
    const Tensor tokens = make_host_tensor({1, latents.dim(1), latents.dim(2)});
    std::copy_n(latents.slice(0, b, 1).f32(), tokens.elements(), tokens.f32());
    statistics.denormalise(tokens);
    const Tensor picture =
        autoencoder.decode(ctx.ops, unpatchify_tokens(tokens, ctx.call.grid), tiling);
    Image painted = from_model_tensor(values_of(picture), size);
    pictures.push_back(ctx.call.inpaint ? finish_inpaint(*ctx.call.inpaint, std::move(painted))
                                        : std::move(painted));
    ctx.monitor.advance(b + 1);
  }
  return pictures;
}

}  // namespace flux2
