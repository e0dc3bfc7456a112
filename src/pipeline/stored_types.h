#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ops/ops.h"
#include "pipeline/model_folder.h"

namespace flux2 {

/// "f32", "bf16", "int8": what matrices of that type are said to be computed in.
std::string name_for_people(DType type);

/// The tensors of a part that are stored alike, and what they are computed in.
struct StoredType {
  std::string name;         ///< see encoding_of
  std::int64_t bytes = 0;   ///< of all of them, as stored
  std::string computed_as;  ///< see ModelPart::computed_as
};

/// Every type that the tensors of a part are stored as, most bytes first.
/// @param config  of the part
/// @param ops     what would compute
/// @throws Error bad_file: a configuration that no model has
std::vector<StoredType> stored_types(PartKind part, const ConfigFile& config,
                                     const Checkpoint& weights, const Ops& ops);

}  // namespace flux2
