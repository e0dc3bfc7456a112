#pragma once

#include <filesystem>
#include <map>
#include <vector>

#include "checkpoint/namings.h"
#include "flux2/verify.h"

namespace flux2 {

/// A part that was found somewhere.
struct PlacedPart {
  PartKind kind = PartKind::transformer;
  std::filesystem::path path;
};

/// Looks at every tensor of `place` and adds what is wrong to `problems`.
/// @param parents  where the parts of VerifyOptions::against are; empty: nothing is compared
/// @throws Error bad_file: the part cannot be read at all; cancelled
VerifiedPart verify_part(const PlacedPart& place,
                         const std::map<PartKind, std::filesystem::path>& parents,
                         const VerifyOptions& options, std::vector<VerifyProblem>& problems);

}  // namespace flux2
