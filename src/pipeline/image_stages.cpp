#include <algorithm>
#include <optional>

#include "images/model_pixels.h"
#include "pipeline/arrays.h"
#include "pipeline/check.h"
#include "pipeline/stages.h"
#include "pipeline/vae_calls.h"

namespace flux2 {
namespace {

TokenGrid grid_of(const Image& image) {
  return {image.height / Call::kPixelsPerToken, image.width / Call::kPixelsPerToken};
}

// Pictures and latents of a call as normalised tokens.
class ReferenceEncoder {
 public:
  ReferenceEncoder(const StageContext& ctx, const Autoencoder& autoencoder)
      : ctx_(ctx),
        autoencoder_(autoencoder),
        tiling_(encoder_tiling(ctx, autoencoder)),
        statistics_(latent_statistics(autoencoder)) {}

  // [1, rows * columns, 128]
  Tensor encode(const Image& picture) {
    const Tensor pixels =
        make_host_tensor({1, picture.height, picture.width, 3}, to_model_tensor(picture));
    const Tensor moments = autoencoder_.encode(ctx_.ops, pixels, tiling_);
    const Tensor mean = moments.slice(3, 0, autoencoder_.config().latent_channels);
    const Tensor tokens = patchify_to_tokens(mean);
    statistics_.normalise(tokens);
    ctx_.monitor.advance(++done_);
    return tokens;
  }

  // [rows of `latents`, rows * columns, 128]
  Tensor normalised(const FloatArray& latents) const {
    const Tensor tokens = pack(to_tensor(latents));
    statistics_.normalise(tokens);
    return tokens;
  }

 private:
  const StageContext& ctx_;
  const Autoencoder& autoencoder_;
  std::optional<Tiling> tiling_;
  LatentStatistics statistics_;
  std::int64_t done_ = 0;
};

// Rows [1, n, D] under each other; one of them stands for all.
Tensor stacked(const std::vector<Tensor>& rows) {
  if (rows.size() == 1) return rows.front();
  const Tensor& first = rows.front();
  Tensor result =
      make_host_tensor({static_cast<std::int64_t>(rows.size()), first.dim(1), first.dim(2)});
  for (std::size_t b = 0; b < rows.size(); ++b)
    std::copy_n(rows[b].f32(), first.elements(),
                result.slice(0, static_cast<std::int64_t>(b), 1).f32());
  return result;
}

// Tokens [1 or B, n, D] of several references, one after another.
Tensor joined(const std::vector<Tensor>& parts) {
  std::int64_t rows = 1;
  std::int64_t count = 0;
  for (const Tensor& tokens : parts) {
    rows = std::max(rows, tokens.dim(0));
    count += tokens.dim(1);
  }
  Tensor result = make_host_tensor({rows, count, parts.front().dim(2)});
  for (std::int64_t row = 0; row < rows; ++row) {
    std::int64_t place = 0;
    for (const Tensor& tokens : parts) {
      const Tensor from = tokens.slice(0, tokens.dim(0) == 1 ? 0 : row, 1);
      std::copy_n(from.f32(), from.elements(),
                  result.slice(0, row, 1).slice(1, place, from.dim(1)).f32());
      place += from.dim(1);
    }
  }
  return result;
}

// What is painted over: one picture for all, or one a sample.
Tensor encode_painted_over(const Call& call, ReferenceEncoder& encoder) {
  std::vector<Tensor> sources;  // each is encoded once
  if (const auto& latents = call.request.inpaint->image_latents) {
    const Tensor tokens = encoder.normalised(*latents);
    for (std::int64_t row = 0; row < tokens.dim(0); ++row)
      sources.push_back(tokens.slice(0, row, 1));
  } else {
    for (std::size_t i = 0; i < call.request.inpaint->image.size(); ++i)
      sources.push_back(encoder.encode(call.inpaint[i].picture));  // plan i has source i
  }
  if (sources.size() == 1) return sources.front();
  std::vector<Tensor> rows;
  for (std::int64_t b = 0; b < call.batch; ++b)
    rows.push_back(sources[call.plan_of(b).source]);
  return stacked(rows);
}

std::int64_t pictures_of(const Call& call) {
  std::size_t count = call.references.shared.size();
  for (const std::vector<Image>& list : call.references.per_sample)
    count += list.size();
  if (call.request.inpaint) count += call.request.inpaint->image.size();
  return static_cast<std::int64_t>(count);
}

// Lists of samples are copies of the list of their prompt: equal neighbours are encoded once.
Tensor encode_per_sample(const References& references, std::size_t k, ReferenceEncoder& encoder) {
  std::vector<Tensor> rows;
  const Image* before = nullptr;
  for (const std::vector<Image>& list : references.per_sample) {
    const bool same = before != nullptr && before->pixels == list[k].pixels;
    rows.push_back(same ? rows.back() : encoder.encode(list[k]));
    before = &list[k];
  }
  return stacked(rows);
}

}  // namespace

ReferenceTokens encode_references(const StageContext& ctx) {
  const Call& call = ctx.call;
  const Request& request = call.request;
  ReferenceTokens result;
  if (call.inpaint.empty() && call.references.tokens(request) == 0) return result;

  const std::int64_t pictures = pictures_of(call);
  const CoderSides sides = pictures == 0 ? CoderSides::decoder : CoderSides::both;
  const Autoencoder& autoencoder = ctx.parts.autoencoder(sides, ctx.ops, ctx.monitor);
  ctx.monitor.begin(Stage::encode_images, pictures);
  ReferenceEncoder encoder(ctx, autoencoder);
  std::vector<Tensor> parts;
  const auto add = [&](Tensor tokens, TokenGrid grid) {
    parts.push_back(std::move(tokens));
    result.grids.push_back(grid);
  };
  if (!call.inpaint.empty()) add(encode_painted_over(call, encoder), call.grid);
  for (const Image& picture : call.references.shared)
    add(encoder.encode(picture), grid_of(picture));
  for (const FloatArray& latents : request.image_latents)
    add(encoder.normalised(latents), {latents.shape[2], latents.shape[3]});
  if (!call.references.per_sample.empty()) {
    const std::vector<Image>& first = call.references.per_sample.front();
    for (std::size_t k = 0; k < first.size(); ++k)
      add(encode_per_sample(call.references, k, encoder), grid_of(first[k]));
  }
  result.tokens = joined(parts);
  return result;
}

Decoded decode(const StageContext& ctx, const Tensor& latents) {
  const bool as_floats = ctx.monitor.options().output == Output::pixels;
  const Size size = {ctx.call.width(), ctx.call.height()};
  ctx.parts.end_steps();
  const Autoencoder& autoencoder = ctx.parts.autoencoder(CoderSides::decoder, ctx.ops, ctx.monitor);
  const std::optional<Tiling> tiling = decoder_tiling(ctx, autoencoder, size);
  ctx.monitor.begin(Stage::decode, latents.dim(0));
  const LatentStatistics statistics = latent_statistics(autoencoder);
  Decoded decoded;
  if (as_floats) decoded.pixels.shape = {latents.dim(0), size.height, size.width, 3};
  for (std::int64_t b = 0; b < latents.dim(0); ++b) {
    const Tensor tokens = copy_of(latents.slice(0, b, 1));
    statistics.denormalise(tokens);
    const Tensor picture =
        autoencoder.decode(ctx.ops, unpatchify_tokens(tokens, ctx.call.grid), tiling);
    const std::vector<float> unit = unit_pixels(values_of(picture), size);
    if (as_floats) {
      decoded.pixels.values.insert(decoded.pixels.values.end(), unit.begin(), unit.end());
    } else {
      Image painted = image_from_unit(unit, size);
      decoded.images.push_back(ctx.call.inpaint.empty()
                                   ? std::move(painted)
                                   : finish_inpaint(ctx.call.plan_of(b), std::move(painted)));
    }
    ctx.monitor.advance(b + 1);
  }
  return decoded;
}

}  // namespace flux2
