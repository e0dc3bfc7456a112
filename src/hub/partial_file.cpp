#include "hub/partial_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>

#include "flux2/error.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const char* doing, const fs::path& path, int error) {
  throw Error(ErrorCode::bad_file, fmt::format("cannot {}: {}", doing, std::strerror(error)),
              path.string(),
              error == ENOSPC || error == EFBIG || error == EDQUOT
                  ? "free some space and run the same command again: it goes on where it was"
                  : "HF_HUB_CACHE names another folder for downloads");
}

int open_for_writing(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (descriptor < 0) fail("create the file", path, errno);
  return descriptor;
}

void write_at(int descriptor, std::int64_t offset, std::span<const std::byte> bytes,
              const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(descriptor, bytes.data(), bytes.size(), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("write", path, errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += written;
  }
}

void append(int descriptor, const std::string& text, const fs::path& path) {
  write_at(descriptor, ::lseek(descriptor, 0, SEEK_END), std::as_bytes(std::span(text)), path);
}

fs::path with_ending(const fs::path& blob, const char* ending) {
  return fs::path(blob.string() + ending);
}

}  // namespace

PartialFile::PartialFile(fs::path blob, std::int64_t size, std::int64_t piece_bytes)
    : blob_(std::move(blob)),
      data_path_(with_ending(blob_, ".flux2.incomplete")),
      journal_path_(with_ending(blob_, ".flux2.pieces")),
      size_(size),
      piece_bytes_(piece_bytes),
      pieces_(static_cast<std::size_t>((size + piece_bytes - 1) / piece_bytes), Piece::missing) {
  data_ = open_for_writing(data_path_);
  try {
    journal_ = open_for_writing(journal_path_);
    read_journal();
  } catch (...) {
    ::close(data_);
    if (journal_ >= 0) ::close(journal_);
    throw;
  }
}

PartialFile::~PartialFile() {
  ::close(data_);
  ::close(journal_);
}

std::int64_t PartialFile::begin_of(std::size_t piece) const {
  return static_cast<std::int64_t>(piece) * piece_bytes_;
}

std::int64_t PartialFile::end_of(std::size_t piece) const {
  return std::min(size_, begin_of(piece) + piece_bytes_);
}

bool PartialFile::is_complete() const {
  return std::all_of(pieces_.begin(), pieces_.end(),
                     [](Piece piece) { return piece == Piece::done; });
}

std::int64_t PartialFile::bytes_done() const {
  std::int64_t bytes = 0;
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    if (pieces_[i] == Piece::done) bytes += end_of(i) - begin_of(i);
  }
  return bytes;
}

// "SIZE PIECE_BYTES" and a line with its number for each piece that is there. A line that the last
// run did not finish ends the list.
void PartialFile::read_journal() {
  std::ifstream file(journal_path_);
  std::string line;
  const std::string header = fmt::format("{} {}", size_, piece_bytes_);
  if (!std::getline(file, line) || line != header || file.eof()) return start_over();
  constexpr std::size_t kMaxDigits = 12;
  const auto there = static_cast<std::int64_t>(fs::file_size(data_path_));
  while (std::getline(file, line) && !file.eof()) {
    const bool number = !line.empty() && line.size() < kMaxDigits &&
                        line.find_first_not_of("0123456789") == std::string::npos;
    const std::size_t piece = number ? std::stoul(line) : pieces_.size();
    if (piece >= pieces_.size() || end_of(piece) > there) return start_over();
    pieces_[piece] = Piece::done;
  }
}

void PartialFile::write_journal_header() {
  if (::ftruncate(journal_, 0) != 0) fail("empty", journal_path_, errno);
  append(journal_, fmt::format("{} {}\n", size_, piece_bytes_), journal_path_);
}

void PartialFile::start_over() {
  std::fill(pieces_.begin(), pieces_.end(), Piece::missing);
  // The journal first: it must never name a piece that is gone.
  write_journal_header();
  if (::ftruncate(data_, 0) != 0) fail("empty", data_path_, errno);
}

void PartialFile::write(std::int64_t offset, std::span<const std::byte> bytes) {
  write_at(data_, offset, bytes, data_path_);
}

void PartialFile::finish(std::size_t piece) {
  pieces_[piece] = Piece::done;
  append(journal_, fmt::format("{}\n", piece), journal_path_);
}

void PartialFile::finish_all() {
  for (std::size_t piece = 0; piece < pieces_.size(); ++piece)
    finish(piece);
}

void PartialFile::commit() {
  if (::ftruncate(data_, size_) != 0) fail("set the length of", data_path_, errno);
  if (::fsync(data_) != 0 && errno != EINVAL) fail("flush", data_path_, errno);
  if (::rename(data_path_.c_str(), blob_.c_str()) != 0) fail("rename", data_path_, errno);
  ::unlink(journal_path_.c_str());
}

std::int64_t bytes_left_behind(const fs::path& blob) {
  // Blocks, not length: what was not written takes no space.
  struct stat status {};
  const fs::path path = with_ending(blob, ".flux2.incomplete");
  constexpr std::int64_t kBlock = 512;
  return ::stat(path.c_str(), &status) == 0 ? status.st_blocks * kBlock : 0;
}

}  // namespace flux2
