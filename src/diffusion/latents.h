#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "diffusion/positions.h"
#include "tensor/tensor.h"

// The shapes that latents take between the VAE and the transformer. A token holds a patch of 2 x 2
// latent pixels; its channel c * 4 + 2 * row + column is channel c of the patch's pixel (row,
// column). All tensors are f32 on the host; results are new and dense. A shape that does not fit
// is an Error invalid_request that names it.

namespace flux2 {

/// Picture to tokens: [B, C, h, w] -> [B, h * w, C], row by row.
Tensor pack(const Tensor& latents);
/// Its inverse: [B, h * w, C] -> [B, C, h, w].
Tensor unpack(const Tensor& tokens, TokenGrid grid);

/// 2 x 2 patches, channels first: [B, C, h, w] -> [B, 4 C, h/2, w/2].
Tensor patchify(const Tensor& latents);
/// Its inverse: [B, 4 C, h, w] -> [B, C, 2 h, 2 w].
Tensor unpatchify(const Tensor& patches);

/// Channels-last latents to tokens: [B, h, w, C] -> [B, h/2 * w/2, 4 C].
Tensor patchify_to_tokens(const Tensor& latents);
/// Its inverse: [B, h * w, 4 C] -> [B, 2 h, 2 w, C].
Tensor unpatchify_tokens(const Tensor& tokens, TokenGrid grid);

/// The VAE's batch norm over token channels, as it is used: without weight and bias.
///
/// The square root is rounded correctly. torch's is not on every machine (MKL's vector one is
/// 1 ulp off for a fifth of the arguments), so its results can differ in the last bits.
class LatentStatistics {
 public:
  /// @param mean, variance  running statistics, one for each token channel
  /// @param eps             batch_norm_eps, 1e-4 in the published models
  /// @throws Error bad_file: different lengths, none, not finite, or variance + eps not positive
  LatentStatistics(std::span<const float> mean, std::span<const float> variance, float eps);

  std::int64_t channels() const { return static_cast<std::int64_t>(mean_.size()); }
  std::span<const float> mean() const { return mean_; }
  /// sqrt(variance + eps)
  std::span<const float> deviation() const { return deviation_; }

  /// (x - mean) / sqrt(variance + eps), in place; after encoding.
  /// @param tokens  [..., channels], dense
  void normalise(const Tensor& tokens) const;
  /// x sqrt(variance + eps) + mean, in place; before decoding.
  void denormalise(const Tensor& tokens) const;

 private:
  std::vector<float> mean_;
  std::vector<float> deviation_;
};

}  // namespace flux2
