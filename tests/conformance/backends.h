#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backends/cpu/cpu_ops.h"
#include "ops/ops.h"

namespace flux2::conformance {

/// A backend to be judged, as data.
struct Backend {
  std::string name;  ///< letters, digits and underscores
  ComputeType compute = ComputeType::f32;
  std::optional<Isa> needs;  ///< instruction set without which it cannot run here
  std::function<std::unique_ptr<Ops>()> make;
};

const std::vector<Backend>& backends();

/// Those that compute some linear layers in 8-bit integers; the rest of them is judged above.
const std::vector<Backend>& int8_backends();

/// Why this machine cannot run `backend`; empty if it can.
std::string reason_to_skip(const Backend& backend);

}  // namespace flux2::conformance
