#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tensor/tensor.h"
#include "tensor/weight.h"

namespace flux2::conformance {

/// Numbers with a shape.
struct Values {
  Shape shape;
  std::vector<float> numbers;
};

/// Normally distributed numbers.
struct Distribution {
  double mean = 0;
  double deviation = 1;
};
Values random_values(const Shape& shape, unsigned seed, const Distribution& distribution = {});

/// |x| and x^2 of every number.
Values absolute(Values values);
Values squared(Values values);
/// Every number as it is after a round trip through `dtype` (f32 or bf16).
Values rounded_to(Values values, DType dtype);

/// A checkpoint tensor whose bytes belong to it and start at an odd address, as they may in a
/// mapped file. `dtype` is any floating type but f64; numbers are rounded to it.
StoredTensor stored(const Values& values, DType dtype);
/// What `stored` kept.
Values values_of(const StoredTensor& stored);
/// Rows [begin, begin + count) of a stored matrix.
StoredTensor rows_of(const StoredTensor& stored, std::int64_t begin, std::int64_t count);

}  // namespace flux2::conformance
