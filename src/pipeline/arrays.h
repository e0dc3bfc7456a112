#pragma once

#include "flux2/array.h"
#include "tensor/tensor.h"

namespace flux2 {

FloatArray to_array(const Tensor& host);
/// @param array  its values fill its shape
Tensor to_tensor(const FloatArray& array);

}  // namespace flux2
