#pragma once

#include "checkpoint/checkpoint.h"
#include "checkpoint/config_file.h"

namespace flux2 {

/// The vae/config.json that a checkpoint without one would have, from the shapes of its tensors;
/// what they do not say (groups of a norm, tile size) is the published VAE's. A file without an
/// encoder counts as one whose encoder has the decoder's channels.
/// @throws Error bad_file: a tensor that is needed is missing; the VAE of another model
ConfigFile derive_autoencoder_config(const Checkpoint& checkpoint);

}  // namespace flux2
