#include "conversation.h"

#include <nanobind/nanobind.h>

#include <chrono>
#include <thread>

namespace nb = nanobind;

namespace flux2::python {
namespace {

// How long Ctrl-C may go unnoticed.
constexpr auto kPatience = std::chrono::milliseconds(50);

// Unwinds the work after a callback has failed. What Python raised stays with the calling thread,
// which holds the interpreter's lock.
struct Abandoned {};

}  // namespace

void Conversation::run(const std::function<void()>& work) {
  std::thread worker([&] {
    try {
      work();
    } catch (const Abandoned&) {
    } catch (...) {
      work_failure_ = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    finished_ = true;
    changed_.notify_all();
  });
  for (Event event = wait(); event != Event::finished; event = wait()) {
    if (event == Event::question) answer();
    check_signals();
  }
  {
    const nb::gil_scoped_release unlocked;
    worker.join();
  }
  if (failure_) std::rethrow_exception(failure_);
  if (work_failure_) std::rethrow_exception(work_failure_);
}

void Conversation::ask(const std::function<void()>& callback) {
  std::unique_lock lock(mutex_);
  question_ = &callback;
  changed_.notify_all();
  changed_.wait(lock, [&] { return question_ == nullptr; });
  if (failure_) throw Abandoned();
}

Conversation::Event Conversation::wait() {
  const nb::gil_scoped_release unlocked;
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, kPatience, [&] { return finished_ || question_; });
  if (question_) return Event::question;
  return finished_ ? Event::finished : Event::none;
}

void Conversation::answer() {
  try {
    if (!failure_) (*question_)();
  } catch (...) {
    fail(std::current_exception());
  }
  const std::lock_guard lock(mutex_);
  question_ = nullptr;
  changed_.notify_all();
}

void Conversation::check_signals() {
  if (!failure_ && PyErr_CheckSignals() != 0) {
    fail(std::make_exception_ptr(nb::python_error()));
  }
}

void Conversation::fail(std::exception_ptr failure) {
  const std::lock_guard lock(mutex_);
  failure_ = std::move(failure);
  stop_.request_stop();
}

}  // namespace flux2::python
