#pragma once

#include "flux2/pipeline.h"
#include "pipeline/parts_context.h"

namespace flux2 {

/// Pipeline::predict_velocity.
FloatArray predict_velocity(const PartsContext& ctx, const VelocityInputs& inputs);

}  // namespace flux2
