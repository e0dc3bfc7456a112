#pragma once

#include <string>

#include "flux2/pipeline.h"

namespace flux2 {

/// A request as JSON, keys named as in Diffusers; what is unset is left out. References and arrays
/// are written as the files they came from, pictures with a checksum of their pixels.
std::string request_to_json(const Request& request);

/// Its inverse. References and arrays are read again.
/// @param name  of what the JSON came from, for errors
/// @throws Error bad_file: not JSON, a key of the wrong type or unknown; a file that is gone or
///         whose pixels changed; pictures or arrays that never were in a file
Request request_from_json(const std::string& json, const std::string& name);

}  // namespace flux2
