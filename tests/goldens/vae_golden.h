#pragma once

#include <string>

#include "diffusion/latents.h"
#include "golden.h"
#include "models/autoencoder/autoencoder.h"

namespace flux2::golden {

/// vae/ of a checkpoint below data/checkpoints.
std::filesystem::path vae_folder(const std::string& checkpoint);
AutoencoderConfig vae_config(const std::string& checkpoint);
Autoencoder load_vae(const std::string& checkpoint, Ops& ops);
LatentStatistics statistics_of(const Autoencoder& vae);

/// [B, C, h, w], as goldens are, to [B, h, w, C], as pictures are here.
Tensor channels_last(const Tensor& x);

/// What a float32 implementation may be away from a golden of the VAE: its own error, and the one
/// that the golden itself has (measure_float_noise.py).
/// @param name  "CHECKPOINT/PICTURE.TENSOR"
double vae_tolerance(const std::string& name);

}  // namespace flux2::golden
