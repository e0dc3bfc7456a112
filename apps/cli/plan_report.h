#pragma once

#include <string>

#include "flux2/plan.h"

namespace flux2::cli {

/// A table for people: every stage's peak and seconds, how each part is held, what was given up.
std::string plan_table(const Plan& plan);

/// One JSON object, indented, without a newline at its end: peak_bytes, limit_bytes, limit_from,
/// program_bytes, seconds, backend, stages [{name, peak_bytes, seconds, flops, tile}], parts
/// [{name, type, resident_bytes, streamed_bytes, streamed_share, released}], given_up, rates.
std::string plan_json(const Plan& plan);

}  // namespace flux2::cli
