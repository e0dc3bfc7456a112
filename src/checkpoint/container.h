#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "checkpoint/weights_file.h"

namespace flux2 {

/// Tells from its first bytes what a weights file is.
/// @param file  for errors
/// @throws Error bad_file: it is neither safetensors nor GGUF; the error says what it is instead
///         where that can be told (pickle, ZIP, HTML, Git LFS pointer, ...)
WeightsFormat recognise_container(std::span<const std::byte> bytes, const std::string& file);

}  // namespace flux2
