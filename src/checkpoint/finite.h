#pragma once

#include <cstdint>
#include <optional>

#include "tensor/weight.h"

namespace flux2 {

/// Index of the first element of `tensor` that is NaN, infinite or too large for a float; none for
/// integer types. Reads the whole tensor, on all threads, at about the speed of memory.
std::optional<std::int64_t> first_non_finite(const StoredTensor& tensor);

/// @throws Error bad_file, naming file, tensor and element, if first_non_finite finds one
void require_finite(const StoredTensor& tensor);

}  // namespace flux2
