#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "models/flux2/config.h"
#include "ops/ops.h"

namespace flux2 {

/// Place of a token on FLUX.2's four rotary axes: t (which picture), h (row), w (column),
/// l (place in the text).
using Position = std::array<std::int64_t, 4>;

/// Rotary tables [L, d/2] of `positions`: axis after axis, angle = position / theta^(2i / width),
/// computed in double as the reference does and stored in float.
RopeTable make_rope(Ops& ops, const TransformerConfig& config, std::span<const Position> positions);

}  // namespace flux2
