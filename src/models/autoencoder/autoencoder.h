#pragma once

#include <memory>
#include <optional>

#include "models/autoencoder/config.h"
#include "models/autoencoder/tiling.h"
#include "models/autoencoder/weights.h"
#include "ops/ops.h"

namespace flux2 {

/// Which halves of the autoencoder a call needs; the other is never read.
enum class CoderSides { decoder, both };

/// AutoencoderKLFlux2: pictures to latents and back. One sample at a time, so that memory does not
/// grow with the batch (Diffusers' "slicing"; statistics are per sample, the result is the same).
class Autoencoder {
 public:
  /// @throws Error bad_file: see WeightsTable::load
  static Autoencoder load(const Checkpoint& checkpoint, const AutoencoderConfig& config, Ops& ops,
                          CoderSides sides, const LoadProgress& progress = {});

  /// The same from shapes alone, for operations that look at nothing else: see
  /// WeightsTable::assume. It has no latent statistics.
  static Autoencoder assume(const AutoencoderConfig& config, Ops& ops, CoderSides sides);

  const AutoencoderConfig& config() const { return config_; }
  /// Running mean and variance of patched latents, host [128]: tokens are normalised with them.
  const Tensor& latent_mean() const { return mean_; }
  const Tensor& latent_variance() const { return variance_; }
  bool can_encode() const { return weights_->encoder.conv_in.defined(); }
  /// The tiles of Diffusers' `enable_tiling` for this model.
  Tiling tiling() const;

  /// @param pictures  host [B, H, W, 3] in [-1, 1]
  /// @param tiling    larger pictures are tiled; none: whole
  /// @return host [B, H / 8, W / 8, 64]: mean, then log variance
  Tensor encode(Ops& ops, const Tensor& pictures, const std::optional<Tiling>& tiling = {}) const;
  /// @param latents  host [B, h, w, 32], not normalised
  /// @return host [B, 8 h, 8 w, 3], not clamped
  Tensor decode(Ops& ops, const Tensor& latents, const std::optional<Tiling>& tiling = {}) const;

 private:
  explicit Autoencoder(const AutoencoderConfig& config);
  WeightsTable table(CoderSides sides);

  AutoencoderConfig config_;
  std::unique_ptr<AutoencoderWeights> weights_;
  Tensor mean_;
  Tensor variance_;
};

}  // namespace flux2
