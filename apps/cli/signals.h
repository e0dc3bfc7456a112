#pragma once

#include <signal.h>

#include <atomic>
#include <stop_token>
#include <thread>

namespace flux2::cli {

/// While it lives, the first SIGINT (Ctrl-C) or SIGTERM requests a stop and the second one ends
/// the program as it would have without this. A signal that was ignored stays so.
///
/// Create it before any other thread, so that all of them leave the signals to this one.
class StopOnSignal {
 public:
  StopOnSignal();
  ~StopOnSignal();
  StopOnSignal(const StopOnSignal&) = delete;
  StopOnSignal& operator=(const StopOnSignal&) = delete;

  std::stop_token token() const { return source_.get_token(); }

 private:
  void wait();

  std::stop_source source_;
  sigset_t signals_{};
  sigset_t before_{};
  std::atomic<bool> over_ = false;
  std::thread waiter_;
};

}  // namespace flux2::cli
