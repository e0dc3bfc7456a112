#pragma once

#include "checkpoint/checkpoint.h"
#include "checkpoint/config_file.h"

namespace flux2 {

/// The transformer/config.json that a checkpoint without one would have, from the shapes of its
/// tensors; what they do not say (rope_theta, eps) is the same for all of FLUX.2.
/// @throws Error bad_file: a tensor that is needed is missing; a width of a published model with
///         another number of blocks: then the file is incomplete
ConfigFile derive_transformer_config(const Checkpoint& checkpoint);

}  // namespace flux2
