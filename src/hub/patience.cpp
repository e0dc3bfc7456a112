#include "hub/patience.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <regex>

#include "flux2/error.h"

namespace flux2 {
namespace {

bool is_passing(const HttpResponse& response) {
  if (response.failure) return response.failure->kind != HttpFailure::Kind::refused;
  // An answer that ended too early, without the connection breaking.
  if (response.ok()) return true;
  constexpr long kPassing[] = {408, 429, 500, 502, 503, 504};
  return std::find(std::begin(kPassing), std::end(kPassing), response.status) != std::end(kPassing);
}

// Nobody waits longer than a year; more digits would overflow.
std::optional<std::chrono::seconds> seconds_of(const std::string& digits) {
  constexpr std::size_t kMaxDigits = 8;
  const bool number = !digits.empty() && digits.size() <= kMaxDigits &&
                      digits.find_first_not_of("0123456789") == std::string::npos;
  if (!number) return std::nullopt;
  return std::chrono::seconds(std::stol(digits));
}

}  // namespace

std::optional<std::chrono::seconds> wished_wait(const HttpResponse& response) {
  // "api";r=0;t=55: nothing remains for 55 seconds.
  static const std::regex kRateLimit(R"(r\s*=\s*0\s*;\s*t\s*=\s*(\d+))");
  const std::string* rate = response.header("ratelimit");
  std::smatch match;
  if (response.status == 429 && rate != nullptr && rate->size() < 256 &&
      std::regex_search(*rate, match, kRateLimit)) {
    return seconds_of(match[1]);
  }
  const std::string* after = response.header("retry-after");
  return after == nullptr ? std::nullopt : seconds_of(*after);
}

void wait_or_stop(std::chrono::milliseconds time, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, time, [] { return false; });
  if (stop.stop_requested()) throw Error(ErrorCode::cancelled, "cancelled");
}

Patience::Patience(const HubSettings& settings, std::stop_token stop)
    : settings_(settings), stop_(std::move(stop)) {
  reset();
}

void Patience::reset() {
  left_ = settings_.retries;
  next_wait_ = settings_.first_wait;
}

bool Patience::try_again(const HttpResponse& response) {
  if (!is_passing(response) || left_ == 0) return false;
  std::chrono::milliseconds time = next_wait_;
  if (const auto wished = wished_wait(response)) {
    if (*wished > settings_.longest_wait) return false;
    time = *wished;
  }
  --left_;
  next_wait_ = std::min(2 * next_wait_, settings_.longest_backoff);
  wait_or_stop(time, stop_);
  return true;
}

}  // namespace flux2
