#pragma once

#include <nanobind/ndarray.h>

#include "flux2/array.h"

namespace flux2::python {

using FloatsIn = nanobind::ndarray<const float, nanobind::c_contig, nanobind::device::cpu>;

/// A copy of the caller's numbers.
FloatArray array_of(const FloatsIn& values);

}  // namespace flux2::python
