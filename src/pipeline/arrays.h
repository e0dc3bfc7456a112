#pragma once

#include <span>

#include "flux2/array.h"
#include "tensor/tensor.h"

namespace flux2 {

FloatArray to_array(const Tensor& host);
/// @param array  its values fill its shape
Tensor to_tensor(const FloatArray& array);

/// The elements of a dense f32 host tensor, in place.
std::span<float> values_of(const Tensor& dense);

}  // namespace flux2
