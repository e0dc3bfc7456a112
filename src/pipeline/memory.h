#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

namespace flux2 {

/// find_available_memory in bytes.
std::int64_t available_memory();

/// Most resident memory that this process has had, mapped files included.
std::int64_t peak_memory();

/// Memory that this process made itself: mapped files, which the system can take back, left out.
std::int64_t anonymous_memory();

/// Samples anonymous_memory() every few milliseconds while it lives: the kernel keeps no peak of
/// it.
class AnonymousPeak {
 public:
  AnonymousPeak();

  /// The most so far.
  std::int64_t bytes();

 private:
  void look();

  std::atomic<std::int64_t> most_ = 0;
  std::jthread watcher_;
};

struct MemoryNeed {
  std::int64_t bytes = 0;
  std::int64_t available = 0;
};

/// @param what  what needs the memory: "the transformer"
/// @throws Error out_of_memory if more is needed than is available
void require_memory(const MemoryNeed& need, const std::string& what, const std::string& hint);

/// "7.4 GB"
std::string format_bytes(std::int64_t bytes);

}  // namespace flux2
