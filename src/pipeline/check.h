#pragma once

#include <cstddef>
#include <string>

#include "flux2/array.h"
#include "flux2/error.h"

namespace flux2 {

/// A side of a picture in pixels; above it sizes are typing errors.
inline constexpr int kMostPixels = 16384;

/// @throws Error invalid_request about `argument`
[[noreturn]] void refuse(const std::string& argument, const std::string& message,
                         const std::string& hint = {});

/// "[1, 128, 4, 4]"
std::string shape_text(const FloatArray& array);

/// @throws Error invalid_request about `argument`: another rank, a shape that is empty, too large
///         or not filled by the values, NaN or infinity
void check_array(const FloatArray& array, const std::string& argument, std::size_t rank);

}  // namespace flux2
