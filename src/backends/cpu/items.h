#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "base/parallel.h"

namespace flux2 {

/// Calls body(item, worker) for each item, in any order, on whichever thread is free: for bodies
/// whose results depend on the item alone. `worker` is in [0, workers).
template <typename Body>
void for_each_item(std::int64_t count, std::int64_t workers, const Body& body) {
  std::atomic<std::int64_t> next{0};
  parallel_for(std::min(workers, count), 1, [&](std::int64_t worker, std::int64_t) {
    for (std::int64_t item = next++; item < count; item = next++)
      body(item, worker);
  });
}

}  // namespace flux2
