#pragma once

namespace flux2 {

/// "MAJOR.MINOR.PATCH" of the library that runs.
const char* version();

}  // namespace flux2
