#include "pipeline/preview.h"

#include <algorithm>
#include <cmath>

#include "images/model_pixels.h"
#include "pipeline/arrays.h"
#include "pipeline/flop_count.h"
#include "pipeline/vae_calls.h"

namespace flux2 {
namespace {

constexpr std::int64_t kLatentsPerToken = 2;  // along a side

// The part of `full` that cell `index` of `cells` covers: torch's adaptive_avg_pool2d.
struct Cell {
  std::int64_t begin;
  std::int64_t end;
};
Cell cell_of(std::int64_t index, std::int64_t cells, std::int64_t full) {
  return {index * full / cells, ((index + 1) * full + cells - 1) / cells};
}

// Adds the latents of a cell and divides by their number.
void average(const Tensor& latents, Cell rows, Cell columns, float* out) {
  const std::int64_t channels = latents.dim(3);
  std::fill_n(out, channels, 0.0F);
  for (std::int64_t y = rows.begin; y < rows.end; ++y) {
    const float* from = latents.f32() + (y * latents.dim(2) + columns.begin) * channels;
    for (std::int64_t x = columns.begin; x < columns.end; ++x, from += channels) {
      for (std::int64_t c = 0; c < channels; ++c)
        out[c] += from[c];
    }
  }
  const auto count = static_cast<float>((rows.end - rows.begin) * (columns.end - columns.begin));
  for (std::int64_t c = 0; c < channels; ++c)
    out[c] /= count;
}

// [1, h, w, C] to [1, size.rows, size.columns, C]
Tensor pooled(const Tensor& latents, PreviewSize size) {
  const Tensor result = make_host_tensor({1, size.rows, size.columns, latents.dim(3)});
  float* out = result.f32();
  for (std::int64_t y = 0; y < size.rows; ++y) {
    for (std::int64_t x = 0; x < size.columns; ++x, out += latents.dim(3)) {
      average(latents, cell_of(y, size.rows, latents.dim(1)),
              cell_of(x, size.columns, latents.dim(2)), out);
    }
  }
  return result;
}

}  // namespace

PreviewSize preview_size(const AutoencoderConfig& config, TokenGrid grid, double flop) {
  const std::int64_t rows = kLatentsPerToken * grid.rows;
  const std::int64_t columns = kLatentsPerToken * grid.columns;
  PreviewSize best;
  const bool wide = columns > rows;  // the longer side is counted down, so that no size is missed
  const std::int64_t longer = std::max(rows, columns);
  const std::int64_t shorter = std::min(rows, columns);
  for (std::int64_t side = longer; side > 1; --side) {
    const std::int64_t other = std::max<std::int64_t>(1, side * shorter / longer);
    best = wide ? PreviewSize{other, side} : PreviewSize{side, other};
    if (decoder_flop(config, best.rows, best.columns) <= flop) return best;
  }
  return {};
}

Previewer::Previewer(const StageContext& ctx, double step_flop)
    : ctx_(ctx),
      autoencoder_(ctx.parts.autoencoder(CoderSides::decoder, ctx.ops, ctx.monitor)),
      statistics_(latent_statistics(autoencoder_)),
      size_(preview_size(autoencoder_.config(), ctx.call.grid, kPreviewShare * step_flop)) {}

Preview Previewer::preview(const Tensor& estimate, int step) const {
  statistics_.denormalise(estimate);
  Preview preview = {.step = step, .images = {}};
  for (std::int64_t b = 0; b < estimate.dim(0); ++b) {
    const Tensor latents =
        pooled(unpatchify_tokens(copy_of(estimate.slice(0, b, 1)), ctx_.call.grid), size_);
    const Tensor picture = autoencoder_.decode(ctx_.ops, latents);
    preview.images.push_back(from_model_tensor(
        values_of(picture), {static_cast<int>(picture.dim(2)), static_cast<int>(picture.dim(1))}));
  }
  return preview;
}

}  // namespace flux2
