#include "pipeline/vae_calls.h"

#include <fmt/format.h>

#include <algorithm>

#include "images/convert.h"
#include "images/model_pixels.h"
#include "pipeline/activation_memory.h"
#include "pipeline/arrays.h"
#include "pipeline/check.h"
#include "pipeline/memory.h"

namespace flux2 {
namespace {

constexpr float kLeastLogVariance = -30;  // as Diffusers' DiagonalGaussianDistribution clamps it
constexpr float kMostLogVariance = 20;
constexpr int kPixelsPerToken = 16;

std::int64_t activations(const PartsContext& ctx, const Autoencoder& autoencoder, Size size) {
  return autoencoder_activations(autoencoder.config(), std::int64_t{size.width} * size.height,
                                 ctx.parts.operand_size());
}

Size tile_of(const Tiling& tiling, Size size) {
  const auto most = static_cast<int>(tiling.sample_size);
  return {std::min(most, size.width), std::min(most, size.height)};
}

std::optional<Tiling> planned_tiling(const Plan& plan, Stage stage, const Tiling& tiling) {
  const StagePlan* planned = plan.stage(stage);
  return planned != nullptr && planned->tile > 0 ? std::optional(tiling) : std::nullopt;
}

// [B, C, h, w] to [B, h, w, C]
Tensor channels_last(const FloatArray& array) {
  const auto& s = array.shape;
  return pack(to_tensor(array)).view({s[0], s[2], s[3], s[1]});
}

// Channels [first, first + count) of [B, h, w, C], as [B, count, h, w].
Tensor channels_first(const Tensor& x, std::int64_t first, std::int64_t count) {
  const Tensor part = make_host_tensor({x.dim(0), x.dim(1) * x.dim(2), count});
  const float* from = x.f32() + first;
  float* to = part.f32();
  for (std::int64_t row = 0; row < part.dim(0) * part.dim(1); ++row, from += x.dim(3), to += count)
    std::copy_n(from, count, to);
  return unpack(part, {x.dim(1), x.dim(2)});
}

void check_sides(const FloatArray& array, const std::string& argument, std::int64_t most) {
  if (array.shape[2] <= most && array.shape[3] <= most) return;
  refuse(argument, fmt::format("shape {} is too large", shape_text(array)));
}

void check_latents(const PartsContext& ctx, const FloatArray& latents) {
  check_array(latents, "latents", 4);
  const std::int64_t channels = ctx.model.vae.latent_channels;
  if (latents.shape[1] != channels) {
    refuse("latents", fmt::format("shape {} does not fit [B, {}, height / 8, width / 8]",
                                  shape_text(latents), channels));
  }
  check_sides(latents, "latents", kMostPixels / ctx.model.vae.downscale());
}

}  // namespace

LatentStatistics latent_statistics(const Autoencoder& autoencoder) {
  const auto values = [](const Tensor& tensor) {
    return std::span<const float>(tensor.f32(), static_cast<std::size_t>(tensor.elements()));
  };
  return {values(autoencoder.latent_mean()), values(autoencoder.latent_variance()),
          autoencoder.config().batch_norm_eps};
}

std::optional<Tiling> decoder_tiling(const PartsContext& ctx, const Autoencoder& autoencoder,
                                     Size size) {
  const Tiling tiling = autoencoder.tiling();
  if (const Plan* plan = ctx.parts.plan()) return planned_tiling(*plan, Stage::decode, tiling);
  const VaeTiling wanted = ctx.monitor.options().vae_tiling;
  const std::int64_t whole = activations(ctx, autoencoder, size);
  if (wanted != VaeTiling::on) {
    if (ctx.parts.has_room(whole)) return {};
    ctx.parts.release_models();
    if (ctx.parts.has_room(whole)) return {};
  }
  const bool whole_only = wanted == VaeTiling::off;
  ctx.parts.require(whole_only ? whole : activations(ctx, autoencoder, tile_of(tiling, size)),
                    "decoding",
                    whole_only ? "allow the VAE to work in tiles"
                               : "ask for a smaller picture, or save the latents");
  if (wanted == VaeTiling::automatic) {
    ctx.monitor.warn(fmt::format("decoded in tiles of {} pixels, since {} would not fit",
                                 tiling.sample_size, format_bytes(whole)));
  }
  return whole_only ? std::nullopt : std::optional(tiling);
}

std::optional<Tiling> encoder_tiling(const PartsContext& ctx, const Autoencoder& autoencoder) {
  if (const Plan* plan = ctx.parts.plan())
    return planned_tiling(*plan, Stage::encode_images, autoencoder.tiling());
  if (ctx.monitor.options().vae_tiling != VaeTiling::on) return {};
  return autoencoder.tiling();
}

LatentDistribution encode_image(const PartsContext& ctx, const FloatArray& pixels) {
  check_array(pixels, "pixels", 4);
  const std::int64_t multiple = ctx.model.vae.downscale();
  if (pixels.shape[1] != ctx.model.vae.in_channels || pixels.shape[2] % multiple != 0 ||
      pixels.shape[3] % multiple != 0) {
    refuse("pixels", fmt::format("shape {} does not fit [B, {}, H, W] with multiples of {}",
                                 shape_text(pixels), ctx.model.vae.in_channels, multiple));
  }
  check_sides(pixels, "pixels", kMostPixels);
  const Autoencoder& autoencoder = ctx.parts.autoencoder(CoderSides::both, ctx.ops, ctx.monitor);
  const std::optional<Tiling> tiling = encoder_tiling(ctx, autoencoder);
  const Size size = {static_cast<int>(pixels.shape[3]), static_cast<int>(pixels.shape[2])};
  const std::int64_t needed = activations(ctx, autoencoder, tiling ? tile_of(*tiling, size) : size);
  if (!ctx.parts.has_room(needed)) {
    ctx.parts.release_models();
    ctx.parts.require(needed, "encoding", "give a smaller picture, or allow tiles");
  }
  ctx.monitor.begin(Stage::encode_images, pixels.shape[0]);
  const Tensor moments = autoencoder.encode(ctx.ops, channels_last(pixels), tiling);
  const std::int64_t channels = autoencoder.config().latent_channels;
  LatentDistribution result = {to_array(channels_first(moments, 0, channels)),
                               to_array(channels_first(moments, channels, channels))};
  for (float& value : result.log_variance.values)
    value = std::clamp(value, kLeastLogVariance, kMostLogVariance);
  return result;
}

FloatArray decode_latents(const PartsContext& ctx, const FloatArray& latents) {
  check_latents(ctx, latents);
  const Autoencoder& autoencoder = ctx.parts.autoencoder(CoderSides::decoder, ctx.ops, ctx.monitor);
  const auto scale = static_cast<int>(autoencoder.config().downscale());
  const Size size = {static_cast<int>(latents.shape[3]) * scale,
                     static_cast<int>(latents.shape[2]) * scale};
  const std::optional<Tiling> tiling = decoder_tiling(ctx, autoencoder, size);
  ctx.monitor.begin(Stage::decode, latents.shape[0]);
  const Tensor pixels = autoencoder.decode(ctx.ops, channels_last(latents), tiling);
  return to_array(channels_first(pixels, 0, pixels.dim(3)));
}

FloatArray pack_latents(const PartsContext& ctx, const FloatArray& latents) {
  check_latents(ctx, latents);
  if (latents.shape[2] % 2 != 0 || latents.shape[3] % 2 != 0) {
    refuse("latents", fmt::format("shape {} has no even sides", shape_text(latents)));
  }
  const Autoencoder& autoencoder = ctx.parts.autoencoder(CoderSides::decoder, ctx.ops, ctx.monitor);
  const Tensor tokens = pack(patchify(to_tensor(latents)));
  latent_statistics(autoencoder).normalise(tokens);
  return to_array(tokens);
}

FloatArray unpack_latents(const PartsContext& ctx, const FloatArray& tokens, Size size) {
  check_array(tokens, "latents", 3);
  const TokenGrid grid = {size.height / kPixelsPerToken, size.width / kPixelsPerToken};
  if (grid.rows < 1 || grid.columns < 1 || tokens.shape[1] != grid.tokens() ||
      tokens.shape[2] != ctx.model.vae.patch_channels()) {
    refuse(
        "latents",
        fmt::format("shape {} does not fit [B, tokens, {}] of a picture of {} x {} pixels",
                    shape_text(tokens), ctx.model.vae.patch_channels(), size.width, size.height));
  }
  const Autoencoder& autoencoder = ctx.parts.autoencoder(CoderSides::decoder, ctx.ops, ctx.monitor);
  const Tensor latents = to_tensor(tokens);
  latent_statistics(autoencoder).denormalise(latents);
  return to_array(unpatchify(unpack(latents, grid)));
}

FloatArray model_pixels(const Image& image) {
  require_valid(image, "image");
  const std::vector<float> values = to_model_tensor(convert_for_model(image));
  const Tensor rows = make_host_tensor({1, std::int64_t{image.height} * image.width, 3}, values);
  return to_array(unpack(rows, {image.height, image.width}));
}

std::vector<Image> images_from_pixels(const FloatArray& pixels) {
  check_array(pixels, "pixels", 4);
  if (pixels.shape[1] != 3) {
    refuse("pixels", fmt::format("shape {} does not fit [B, 3, H, W]", shape_text(pixels)));
  }
  check_sides(pixels, "pixels", kMostPixels);
  const Size size = {static_cast<int>(pixels.shape[3]), static_cast<int>(pixels.shape[2])};
  const Tensor rows = channels_last(pixels);
  std::vector<Image> images;
  for (std::int64_t b = 0; b < rows.dim(0); ++b)
    images.push_back(from_model_tensor(values_of(rows.slice(0, b, 1)), size));
  return images;
}

}  // namespace flux2
