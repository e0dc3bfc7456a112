#include "pipeline/check.h"

#include <fmt/format.h>

#include <cmath>

#include "tensor/tensor.h"

namespace flux2 {

void refuse(const std::string& argument, const std::string& message, const std::string& hint) {
  throw Error(ErrorCode::invalid_request, message, argument, hint);
}

std::string shape_text(const FloatArray& array) {
  return Shape(array.shape).to_string();
}

void check_array(const FloatArray& array, const std::string& argument, std::size_t rank) {
  if (array.shape.size() != rank) {
    refuse(argument, fmt::format("must have {} dimensions, not {}", rank, array.shape.size()));
  }
  std::int64_t elements = 1;
  for (const std::int64_t dim : array.shape) {
    if (dim < 1 || dim > (std::int64_t{1} << 31) / elements) {
      refuse(argument, fmt::format("shape {} is empty or too large", shape_text(array)));
    }
    elements *= dim;
  }
  if (elements != static_cast<std::int64_t>(array.values.size())) {
    refuse(argument,
           fmt::format("{} values do not fill shape {}", array.values.size(), shape_text(array)));
  }
  for (const float value : array.values) {
    if (!std::isfinite(value)) refuse(argument, "holds NaN or infinity");
  }
}

}  // namespace flux2
