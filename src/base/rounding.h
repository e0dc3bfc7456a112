#pragma once

#include <type_traits>

namespace flux2 {

/// How many pieces of `size` hold `count`, the last one perhaps in part. Neither is negative.
template <typename Integer>
constexpr Integer ceil_divide(Integer count, std::type_identity_t<Integer> size) {
  return (count + size - 1) / size;
}

/// The least multiple of `step` that is not below `count`.
template <typename Integer>
constexpr Integer round_up(Integer count, std::type_identity_t<Integer> step) {
  return ceil_divide(count, step) * step;
}

}  // namespace flux2
