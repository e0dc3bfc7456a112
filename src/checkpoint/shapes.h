#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "checkpoint/checkpoint.h"

namespace flux2 {

// What the shapes of a checkpoint's tensors say about its model.

/// Dimension `axis` of the tensor of that canonical name.
/// @throws Error bad_file: there is no such tensor, or it has fewer dimensions
std::int64_t dimension_of(const Checkpoint& checkpoint, const std::string& name, int axis);

/// How many layers there are: one more than the largest number behind `prefix`.
///   PREFIX0.rest, PREFIX1.rest, ...
/// @throws Error bad_file: a number below it has no tensor
std::int64_t count_layers(const Checkpoint& checkpoint, std::string_view prefix);

}  // namespace flux2
