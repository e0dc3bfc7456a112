#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace flux2 {

/// The product of `sizes`, none negative; none if the product of those that are not zero overflows,
/// so that it can be computed in any order.
inline std::optional<std::int64_t> element_count(std::span<const std::int64_t> sizes) {
  std::int64_t product = 1;
  bool empty = false;
  for (const std::int64_t size : sizes) {
    empty = empty || size == 0;
    if (size != 0 && __builtin_mul_overflow(product, size, &product)) return std::nullopt;
  }
  return empty ? 0 : product;
}

}  // namespace flux2
