#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace flux2 {

/// Where the system tells about memory; elsewhere only in tests.
struct SystemFiles {
  std::filesystem::path proc = "/proc";
  std::filesystem::path cgroup = "/sys/fs/cgroup";
};

/// What can still be taken, and what sets that bound.
struct AvailableMemory {
  std::int64_t bytes = 0;
  std::string from;  ///< "free memory", "control group /a/b"
};

/// Bytes that this process may still take without being killed: free memory of the machine, or what
/// its control group (version 1 or 2) or one around it leaves, whichever is least. Pages of files
/// count as used in a group, but are given back under pressure: they are free here.
AvailableMemory find_available_memory(const SystemFiles& files = {});

}  // namespace flux2
