#pragma once

#include "generate_options.h"

namespace flux2::cli {

/// Draws what `options` ask for and writes it. Pictures are written one by one, each complete or
/// not at all; if one cannot be written, those before it stay.
/// @throws Error, as the library
void run_generate(const GenerateOptions& options);

}  // namespace flux2::cli
