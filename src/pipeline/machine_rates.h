#pragma once

#include "flux2/plan.h"
#include "pipeline/backend.h"
#include "pipeline/rehearsal.h"

namespace flux2 {

/// Matmuls of the backend's type are measured, in well under a second; what memory does is taken
/// from docs/performance.md, since measuring it takes a gigabyte.
MachineRates measure_rates(const Backend& backend);

/// Seconds that a rehearsed stage takes at these rates.
double seconds_of(const RehearsedStage& stage, const MachineRates& rates);

}  // namespace flux2
