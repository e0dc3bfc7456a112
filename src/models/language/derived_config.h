#pragma once

#include "checkpoint/checkpoint.h"
#include "checkpoint/config_file.h"

namespace flux2 {

/// The text_encoder/config.json that a checkpoint without one would have, from the shapes of its
/// tensors and what its files say beside them (Checkpoint::facts). What neither says is that of the
/// text encoders FLUX.2 was published with, the number of layers included: a file may have been
/// cut.
/// @throws Error bad_file: a tensor that is needed is missing; a model that is as wide as the
///         published one but another; heads whose width nothing tells
ConfigFile derive_language_config(const Checkpoint& checkpoint);

/// Layers that a checkpoint of a text encoder holds; fewer than its config says where it was cut.
/// @throws Error bad_file: a layer is missing between others
std::int64_t layers_held(const Checkpoint& checkpoint);

}  // namespace flux2
