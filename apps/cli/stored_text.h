#pragma once

#include <string>

#include "flux2/model.h"

namespace flux2::cli {

/// "Q8_0 as bf16, F32 as f32": how a part is stored, and what each type is computed in.
std::string describe_types(const ModelPart& part);

/// Whether some of it is stored as anything but plain floating-point numbers.
bool is_quantised(const ModelPart& part);

}  // namespace flux2::cli
