#include "pipeline/repaint.h"

#include <utility>

#include "diffusion/step.h"
#include "pipeline/arrays.h"

namespace flux2 {

Repaint::Repaint(Tensor picture, Tensor noise, std::vector<float> mask)
    : picture_(std::move(picture)), noise_(std::move(noise)), mask_(std::move(mask)) {}

Tensor Repaint::start(float sigma) const {
  const Tensor latents = make_host_tensor(picture_.shape());
  scale_noise(values_of(picture_), values_of(noise_), sigma, Arithmetic::f32, values_of(latents));
  return latents;
}

void Repaint::restore(const Tensor& latents, float sigma) const {
  if (mask_.empty()) return;
  blend(values_of(latents), values_of(start(sigma)), mask_, Arithmetic::f32);
}

}  // namespace flux2
