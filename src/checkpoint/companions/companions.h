#pragma once

#include <map>
#include <string>
#include <vector>

#include "checkpoint/metadata.h"
#include "tensor/weight.h"

namespace flux2 {

using Tensors = std::map<std::string, StoredTensor>;

/// Finds the tensors that only say how another one is stored, makes a decoder of each group and
/// takes them off the list. docs/formats.md has every layout and how it is recognised.
/// @param tensors   of a whole part: companions may lie in another shard than their weight
/// @param metadata  of the file ("_quantization_metadata")
/// @return notes for people: what was understood and is not used
/// @throws Error bad_file, naming the tensor: a layout that is not supported (by its name), a
///         companion without its weight or a weight without its companion, wrong shapes or types,
///         scales that are NaN, infinite or negative, block scales in another order than cuBLAS'
std::vector<std::string> fold_companions(Tensors& tensors, const Metadata& metadata);

}  // namespace flux2
