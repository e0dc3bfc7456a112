#pragma once

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstring>

namespace flux2 {

/// Where libpng and libjpeg jump to when they meet an error: they are C, and neither may return
/// from its error callback nor be unwound by an exception.
class ErrorTrap {
 public:
  /// Runs `step`; false if the library called fail() meanwhile. `step`, and everything below it up
  /// to the callback, must own nothing with a destructor: their frames are skipped, not unwound.
  template <class Step>
  bool run(const Step& step) {
    if (setjmp(target_) != 0) return false;
    step();
    return true;
  }

  /// For the library's error callback: notes the message and leaves run().
  [[noreturn]] void fail(const char* message) {
    const std::size_t length = std::min(std::strlen(message), message_.size() - 1);
    std::memcpy(message_.data(), message, length);
    message_[length] = '\0';
    std::longjmp(target_, 1);
  }

  const char* message() const { return message_.data(); }

 private:
  std::jmp_buf target_;
  std::array<char, 256> message_{};
};

}  // namespace flux2
