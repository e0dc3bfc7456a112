#include "pipeline/memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <sstream>

#include "flux2/error.h"
#include "pipeline/available_memory.h"

namespace flux2 {
namespace {

// The number after `key` in a file of "key: number kB" lines; -1 if it is not there.
std::int64_t kilobytes_of(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    std::istringstream rest(line.substr(key.size()));
    std::int64_t value = -1;
    rest >> value;
    return value < 0 ? -1 : value * 1024;
  }
  return -1;
}

}  // namespace

std::int64_t available_memory() {
  return find_available_memory().bytes;
}

std::int64_t peak_memory() {
  return std::max<std::int64_t>(0, kilobytes_of("/proc/self/status", "VmHWM:"));
}

std::int64_t anonymous_memory() {
  return std::max<std::int64_t>(0, kilobytes_of("/proc/self/status", "RssAnon:"));
}

AnonymousPeak::AnonymousPeak()
    : watcher_([this](const std::stop_token& stop) {
        constexpr auto kInterval = std::chrono::milliseconds(5);
        for (; !stop.stop_requested(); std::this_thread::sleep_for(kInterval))
          look();
      }) {}

void AnonymousPeak::look() {
  const std::int64_t now = anonymous_memory();
  for (std::int64_t most = most_; now > most;) {
    if (most_.compare_exchange_weak(most, now)) break;
  }
}

std::int64_t AnonymousPeak::bytes() {
  look();
  return most_;
}

std::string format_bytes(std::int64_t bytes) {
  constexpr double kGiga = 1e9;
  constexpr double kMega = 1e6;
  const auto value = static_cast<double>(bytes);
  return value >= kGiga ? fmt::format("{:.1f} GB", value / kGiga)
                        : fmt::format("{:.0f} MB", value / kMega);
}

void require_memory(const MemoryNeed& need, const std::string& what, const std::string& hint) {
  if (need.bytes <= need.available) return;
  throw Error(
      ErrorCode::out_of_memory,
      fmt::format("{} needs about {} of memory and {} are free", what, format_bytes(need.bytes),
                  format_bytes(std::max<std::int64_t>(0, need.available))),
      "", hint);
}

}  // namespace flux2
