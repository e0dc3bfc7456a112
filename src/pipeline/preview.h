#pragma once

#include "diffusion/latents.h"
#include "flux2/run.h"
#include "pipeline/stages.h"

namespace flux2 {

/// Latent pixels of a preview.
struct PreviewSize {
  std::int64_t rows = 1;
  std::int64_t columns = 1;
};

/// How much of the operations of a step a preview may take.
inline constexpr double kPreviewShare = 0.03;

/// The largest size of the shape of `grid` that the decoder makes for `flop` operations, at most
/// the full one of 2 x 2 latents a token and at least one latent.
PreviewSize preview_size(const AutoencoderConfig& config, TokenGrid grid, double flop);

/// Shows what the steps are coming to.
class Previewer {
 public:
  /// Loads the decoder.
  /// @param step_flop  operations of a step, for one picture
  Previewer(const StageContext& ctx, double step_flop);

  /// @param estimate  [B, tokens, 128], clean, packed and normalised; is used up
  Preview preview(const Tensor& estimate, int step) const;

 private:
  const StageContext& ctx_;
  const Autoencoder& autoencoder_;
  LatentStatistics statistics_;
  PreviewSize size_;
};

}  // namespace flux2
