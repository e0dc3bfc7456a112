#pragma once

#include <string>

#include "checkpoint/checkpoint.h"
#include "checkpoint/weights_table.h"

namespace flux2 {

/// A checkpoint for measuring speed and memory where the published weights are not at hand: every
/// tensor that `table` has a use for, bf16, with random numbers of a sensible size. A matrix has
/// the variance 1 / columns, an embedding 1, a norm's weight lies around 1, so that activations
/// stay of order one through all layers.
///
/// Takes some tens of megabytes whatever the model's size, since a block of numbers repeats; no
/// kernel's speed depends on them. It is read, packed and given back like a mapped file. The same
/// table gives the same numbers.
/// @param name  in place of a file name, for errors
/// @throws Error out_of_memory
Checkpoint random_checkpoint(const WeightsTable& table, const std::string& name);

}  // namespace flux2
