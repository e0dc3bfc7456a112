#pragma once

#include <optional>
#include <string_view>

#include "checkpoint/namings.h"

namespace flux2 {

/// A file that is no part of FLUX.2.
struct Stranger {
  std::string_view what;  ///< "a FLUX.1 transformer"
  std::string_view hint;  ///< what to do
};

/// What `tensors` are, where their names are those of something else that people have on disk.
std::optional<Stranger> find_stranger(const TensorMap& tensors);

}  // namespace flux2
