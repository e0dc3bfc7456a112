#pragma once

#include <filesystem>
#include <stop_token>

namespace flux2 {

/// An exclusive flock() on a file of .locks/, as huggingface_hub takes it: whoever holds it may
/// write the blob of that name. The file stays when the lock goes.
class FileLock {
 public:
  /// Waits for whoever holds it.
  /// @throws Error bad_file: the file system has no locks, or the folder is not writable
  /// @throws Error cancelled: a stop was requested while waiting
  FileLock(const std::filesystem::path& path, const std::stop_token& stop);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace flux2
