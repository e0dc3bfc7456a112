#pragma once

#include <memory>
#include <vector>

namespace flux2 {

/// One hardware thread of each physical core that this process may use, in the system's order.
std::vector<int> processors_of_cores();

/// Whether nothing but this thread wants to run on the machine now, and OpenMP was not told where
/// its threads belong. Pinned beside others, a thread waits for its core while another is free.
bool may_pin_freely();

/// While it lives, the threads that compute for calls from this thread stay on the processors that
/// it was made with, the thread itself left out: it gives its own affinity to every thread that is
/// made meanwhile, and is driven to the one processor that the others leave free. What they were
/// bound to before comes back at the end.
class PinnedThreads {
 public:
  /// @param processors  of the threads in order; with more threads than processors, from the first
  ///                    one again; empty: nothing is pinned
  explicit PinnedThreads(std::vector<int> processors);
  ~PinnedThreads();
  PinnedThreads(const PinnedThreads&) = delete;
  PinnedThreads& operator=(const PinnedThreads&) = delete;

 private:
  bool pinned_ = false;
};

namespace detail {

/// Processors for the threads of calls from this thread, as they are now.
struct Pins {
  unsigned long generation = 0;  ///< changes with the processors; 0: nothing was ever pinned
  std::shared_ptr<const std::vector<int>> processors;  ///< nullptr: where they were before
};

Pins current_pins();
/// Called by thread `index` of a team before it works.
void settle(const Pins& pins, int index);

}  // namespace detail
}  // namespace flux2
