#pragma once

#include <cstdint>
#include <type_traits>

namespace flux2 {

/// Threads that `parallel_for` and the libraries under it use in calls from this thread.
int thread_count();
/// Sets it for calls from this thread; at least 1.
void set_thread_count(int count);
/// Physical cores that this process may use: affinity and quotas of control groups honoured.
int available_cores();

namespace detail {
using RangeFunction = void (*)(void* context, std::int64_t begin, std::int64_t end);
void run_parallel(std::int64_t count, std::int64_t grain, RangeFunction function, void* context);
}  // namespace detail

/// Calls body(begin, end) over a fixed partition of [0, count), at most one range a thread and
/// none shorter than `grain` but the last. The partition depends only on the arguments and the
/// thread count, so results are the same bytes in every run. `body` must not throw.
template <typename Body>
void parallel_for(std::int64_t count, std::int64_t grain, Body&& body) {
  auto call = [](void* context, std::int64_t begin, std::int64_t end) {
    (*static_cast<std::remove_reference_t<Body>*>(context))(begin, end);
  };
  detail::run_parallel(count, grain, call, &body);
}

}  // namespace flux2
