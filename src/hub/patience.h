#pragma once

#include <chrono>
#include <optional>
#include <stop_token>

#include "hub/http.h"
#include "hub/settings.h"

namespace flux2 {

/// Decides whether something is tried again, and waits before it is: as long as the server asks
/// for (Retry-After, RateLimit), else one second, two, four, ...
class Patience {
 public:
  Patience(const HubSettings& settings, std::stop_token stop);

  /// @return true after a wait if `response` is worth another try and there is one left
  /// @throws Error cancelled: a stop was requested while waiting
  bool try_again(const HttpResponse& response);
  /// Something was received: counting starts anew.
  void reset();

 private:
  HubSettings settings_;
  std::stop_token stop_;
  int left_;
  std::chrono::milliseconds next_wait_;
};

/// How long the server wants to be left alone; nothing if it does not say.
std::optional<std::chrono::seconds> wished_wait(const HttpResponse& response);

/// Waits; wakes up when a stop is requested. @throws Error cancelled: it was
void wait_or_stop(std::chrono::milliseconds time, const std::stop_token& stop);

}  // namespace flux2
