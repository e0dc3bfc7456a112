#pragma once

#include <span>

#include "checkpoint/namings.h"

namespace flux2 {

// The rows of namings(), part by part.
std::span<const Naming> transformer_namings();
std::span<const Naming> text_encoder_namings();
std::span<const Naming> vae_namings();

}  // namespace flux2
