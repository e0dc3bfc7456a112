#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace flux2 {

/// What changes when a file's content does, without reading it: no program can set the time of the
/// last change of an inode. Zeros: no file.
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;     ///< bytes
  std::int64_t modified = 0;  ///< nanoseconds since 1970, of the content; can be set
  std::int64_t changed = 0;   ///< the same of content, name or owner
};

/// A whole file, read-only, in the address space. Pages come from the disk when touched.
///
/// Files must not become shorter meanwhile: touching what is gone raises SIGBUS. require_complete()
/// notices it beforehand. A file that is replaced by another of its name is no danger.
class MappedFile {
 public:
  /// @throws Error bad_file: missing, not readable, a folder
  explicit MappedFile(std::filesystem::path path);
  /// `size` bytes in which `block` repeats, in the memory of one block: it stands in for a file of
  /// any size. `block` must be whole pages.
  /// @param name  instead of a path
  /// @throws Error out_of_memory
  static std::shared_ptr<const MappedFile> repeating(std::string name,
                                                     std::span<const std::byte> block,
                                                     std::size_t size);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }

  /// As it was when it was opened.
  const FileIdentity& identity() const { return identity_; }

  /// @throws Error bad_file if the file has been cut since it was opened
  void require_complete() const;
  /// Has the kernel start reading `range`; waits only where more is under way than the disk takes
  /// at once.
  void will_need(std::span<const std::byte> range) const;
  /// Gives the pages of `range` back: they no longer count as memory of this process.
  void drop(std::span<const std::byte> range) const;

 private:
  MappedFile() = default;

  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  FileIdentity identity_;
  int descriptor_ = -1;
};

}  // namespace flux2
