#pragma once

#include <span>

#include "flux2/array.h"
#include "tensor/tensor.h"

namespace flux2 {

FloatArray to_array(const Tensor& host);
/// @param array  its values fill its shape
Tensor to_tensor(const FloatArray& array);

/// A host tensor that may be changed without changing `dense`.
Tensor copy_of(const Tensor& dense);

/// Rows of `x` [rows, ...], each repeated so that `batch` rows come out: all samples of the first
/// one, then those of the second.
Tensor repeat_rows(const Tensor& x, std::int64_t batch);

/// The elements of a dense f32 host tensor, in place.
std::span<float> values_of(const Tensor& dense);

}  // namespace flux2
