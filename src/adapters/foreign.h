#pragma once

#include <string_view>

#include "adapters/adapter_file.h"

namespace flux2 {

/// What an adapter was made for, where the names of its modules are those of another model that
/// people have adapters for: "FLUX.1", "Stable Diffusion XL", ...; empty where they tell nothing.
std::string_view foreign_model(const AdapterFile& adapter);

}  // namespace flux2
