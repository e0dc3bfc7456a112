#pragma once

#include "flux2/export.h"

namespace FLUX2_API flux2 {

/// "MAJOR.MINOR.PATCH" of the library that runs.
const char* version();

}  // namespace flux2
