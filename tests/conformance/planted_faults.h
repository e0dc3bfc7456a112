#pragma once

#include <memory>
#include <string>
#include <vector>

#include "conformance/backends.h"

namespace flux2::conformance {

/// A mistake that a backend could plausibly make.
struct Fault {
  std::string name;
  std::string suite;  ///< the operation it is in
  /// The reference, but for the mistake. `operands` is the element type of Role::operand.
  std::unique_ptr<Ops> (*make)(DType operands);
};

const std::vector<Fault>& faults();

/// The reference with operands stored as `operands`: what a backend of that type does at best.
std::unique_ptr<Ops> make_sound_ops(DType operands);

}  // namespace flux2::conformance
