#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace flux2 {

/// A file that appears under its name complete or not at all: bytes go to a temporary name in the
/// same folder; commit() flushes and renames. Without commit() the destructor removes it.
class AtomicFile {
 public:
  /// @throws Error bad_file: the folder is missing or not writable
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// @throws Error bad_file: the disk is full
  void write(std::span<const std::byte> bytes);

  /// Flushes to the disk and renames.
  /// @throws Error bad_file: the disk is full or the name is taken by a folder
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

/// Writes `bytes` as the whole content of `path` through an AtomicFile.
void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes);

}  // namespace flux2
