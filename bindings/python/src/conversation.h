#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <stop_token>

namespace flux2::python {

/// Work on a thread of its own, while the calling thread stays with Python: it runs the callbacks
/// that the work asks for, and its signal handlers, so that Ctrl-C ends a step instead of waiting
/// for it.
class Conversation {
 public:
  /// Returns when `work` has. To be called with the interpreter locked; the lock is held only while
  /// Python code runs.
  /// @throws what a callback or a signal handler raised, else what `work` threw
  void run(const std::function<void()>& work);

  /// From `work`: runs `callback` on the calling thread with the interpreter locked, and waits.
  void ask(const std::function<void()>& callback);

  /// Is stopped when a callback or a signal handler has raised.
  std::stop_token stop_token() const { return stop_.get_token(); }

 private:
  enum class Event { none, question, finished };

  Event wait();
  void answer();
  void check_signals();
  void fail(std::exception_ptr failure);

  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void()>* question_ = nullptr;
  bool finished_ = false;
  std::stop_source stop_;
  std::exception_ptr failure_;       // raised by Python
  std::exception_ptr work_failure_;  // thrown by the work
};

}  // namespace flux2::python
