#pragma once

#include <memory>

#include "ops/ops.h"

namespace flux2 {

/// The CUDA backend.
/// @throws Error invalid_request: no such device, or the library was built without CUDA
std::unique_ptr<Ops> make_cuda_ops();

}  // namespace flux2
