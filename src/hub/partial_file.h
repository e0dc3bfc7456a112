#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace flux2 {

/// A blob on its way: its bytes in ETAG.flux2.incomplete and, in ETAG.flux2.pieces, which pieces of
/// it are there. The names are this program's own: older versions of huggingface_hub go on at the
/// end of an ETAG.incomplete, which would be wrong for one that has holes.
///
/// Of several threads each writes its own piece; the rest is for one thread at a time.
class PartialFile {
 public:
  enum class Piece : unsigned char { missing, taken, done };

  /// Goes on with what an interrupted run left for the same size and pieces.
  /// @param blob  the final name
  /// @throws Error bad_file: not writable
  PartialFile(std::filesystem::path blob, std::int64_t size, std::int64_t piece_bytes);
  ~PartialFile();
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  std::int64_t size() const { return size_; }
  std::vector<Piece>& pieces() { return pieces_; }
  std::int64_t begin_of(std::size_t piece) const;
  std::int64_t end_of(std::size_t piece) const;
  bool is_complete() const;
  /// Bytes of the pieces that are there.
  std::int64_t bytes_done() const;

  /// @throws Error bad_file: the disk is full
  void write(std::int64_t offset, std::span<const std::byte> bytes);
  void finish(std::size_t piece);
  void finish_all();
  /// Forgets all pieces.
  void start_over();
  /// Flushes, and renames to the blob's name.
  void commit();

  const std::filesystem::path& path() const { return data_path_; }

 private:
  void read_journal();
  void write_journal_header();

  std::filesystem::path blob_;
  std::filesystem::path data_path_;
  std::filesystem::path journal_path_;
  std::int64_t size_;
  std::int64_t piece_bytes_;
  std::vector<Piece> pieces_;
  int data_ = -1;
  int journal_ = -1;
};

/// Bytes that an interrupted run left of `blob`; 0 if none.
std::int64_t bytes_left_behind(const std::filesystem::path& blob);

}  // namespace flux2
