#pragma once

#include <filesystem>

namespace flux2 {

/// A folder that appears under its name complete or not at all: files go below a temporary name
/// beside it; commit() renames. Without commit() the destructor removes it.
class AtomicFolder {
 public:
  /// @throws Error bad_file: something of that name is there already; not writable
  explicit AtomicFolder(std::filesystem::path path);
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  /// Where the files go until commit().
  const std::filesystem::path& path() const { return temporary_; }
  /// Creates a folder in it; it may be there.
  /// @throws Error bad_file
  void make_folder(const std::filesystem::path& relative) const;
  /// Copies a file into it.
  /// @throws Error bad_file
  void copy(const std::filesystem::path& file, const std::filesystem::path& relative) const;
  /// @throws Error bad_file: the name was taken in the meantime
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
};

/// Refuses what must not be there yet.
/// @throws Error bad_file
void require_absent(const std::filesystem::path& path);

}  // namespace flux2
