#pragma once

#include <memory>

#include "ops/ops.h"

namespace flux2 {

/// The executable specification of `Ops`: plain loops, everything stored as float, every sum
/// accumulated in double and rounded once. All other backends are judged against it.
///
/// Both roles are f32 and weights of any floating type are kept as float. Arguments may have any
/// strides that Tensor can express, pictures included, and f32, bf16 or f16 elements.
std::unique_ptr<Ops> make_reference_ops();

}  // namespace flux2
