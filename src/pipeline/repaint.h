#pragma once

#include <vector>

#include "tensor/tensor.h"

namespace flux2 {

/// Inpainting between the steps: what the mask leaves alone is put back, as noisy as the rest.
/// Source: Diffusers 0.42.1, pipeline_flux2_klein_inpaint.py. All tensors are dense f32 on the
/// host.
class Repaint {
 public:
  /// @param picture  [B, L, D], what is painted over, normalised
  /// @param noise    [B, L, D]
  /// @param mask     [B * L], 1 where it is painted; empty: everywhere
  Repaint(Tensor picture, Tensor noise, std::vector<float> mask);

  /// What denoising starts from: the picture with noise of level sigma, [B, L, D].
  Tensor start(float sigma) const;

  /// Puts the picture back into `latents` [B, L, D], which a step has brought to level sigma.
  void restore(const Tensor& latents, float sigma) const;

 private:
  Tensor picture_;
  Tensor noise_;
  std::vector<float> mask_;
};

}  // namespace flux2
