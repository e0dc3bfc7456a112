#include "models/autoencoder/autoencoder.h"

#include <algorithm>

#include "models/autoencoder/coder.h"

namespace flux2 {
namespace {

using Coder = Tensor (*)(Ops&, const CoderWeights&, const Tensor&);

Tensor run(Ops& ops, Coder coder, const CoderWeights& weights, const Tensor& host) {
  return ops.download(coder(ops, weights, ops.upload(host, Role::stream)));
}

// Sample after sample, in tiles where `tiling` asks for it.
Tensor run_batch(Ops& ops, Coder coder, const CoderWeights& weights, const Tensor& batch,
                 TileSource source, const std::optional<Tiling>& tiling) {
  const bool tiled = tiling && needs_tiles(*tiling, source, batch.dim(1), batch.dim(2));
  Tensor result;
  for (std::int64_t b = 0; b < batch.dim(0); ++b) {
    const Tensor sample = batch.slice(0, b, 1);
    const auto process = [&](const Tensor& part) { return run(ops, coder, weights, part); };
    const Tensor done = tiled ? map_tiles(*tiling, source, sample, process) : process(sample);
    if (batch.dim(0) == 1) return done;
    if (!result.defined()) {
      Shape shape = done.shape();
      shape.set(0, batch.dim(0));
      result = make_host_tensor(shape);
    }
    std::copy_n(done.f32(), done.elements(), result.slice(0, b, 1).f32());
  }
  return result;
}

}  // namespace

Autoencoder::Autoencoder(const AutoencoderConfig& config)
    : config_(config), weights_(std::make_unique<AutoencoderWeights>()) {}

WeightsTable Autoencoder::table(CoderSides sides) {
  WeightsTable table;
  declare(table, *weights_, config_);
  if (sides == CoderSides::decoder) {
    table.skip("encoder.");
    table.skip("quant_conv.");
  }
  return table;
}

Autoencoder Autoencoder::load(const Checkpoint& checkpoint, const AutoencoderConfig& config,
                              Ops& ops, CoderSides sides, const LoadProgress& progress) {
  Autoencoder model(config);
  model.table(sides).load(checkpoint, ops, progress);
  model.mean_ = ops.download(model.weights_->latent_mean);
  model.variance_ = ops.download(model.weights_->latent_variance);
  return model;
}

Autoencoder Autoencoder::assume(const AutoencoderConfig& config, Ops& ops, CoderSides sides) {
  Autoencoder model(config);
  model.table(sides).assume(ops);
  return model;
}

Tiling Autoencoder::tiling() const {
  return tiling_of(config_);
}

Tensor Autoencoder::encode(Ops& ops, const Tensor& pictures,
                           const std::optional<Tiling>& tiling) const {
  return run_batch(ops, encode_picture, weights_->encoder, pictures, TileSource::picture, tiling);
}

Tensor Autoencoder::decode(Ops& ops, const Tensor& latents,
                           const std::optional<Tiling>& tiling) const {
  return run_batch(ops, decode_latents, weights_->decoder, latents, TileSource::latents, tiling);
}

}  // namespace flux2
