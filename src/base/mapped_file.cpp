#include "base/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "flux2/error.h"

namespace flux2 {
namespace {

[[noreturn]] void fail(const std::filesystem::path& path, int error) {
  throw Error(ErrorCode::bad_file, fmt::format("cannot read the file: {}", std::strerror(error)),
              path.string(), error == ENOENT ? "check the path" : "");
}

// The whole pages that `range` touches (grow) or fully covers (!grow), as madvise wants them.
std::span<std::byte> pages_of(std::span<const std::byte> range, bool grow) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(range.data());
  const auto end = begin + range.size();
  const auto first = (grow ? begin : begin + page - 1) / page * page;
  const auto last = (grow ? end + page - 1 : end) / page * page;
  if (last <= first) return {};
  return {reinterpret_cast<std::byte*>(first), last - first};
}

[[noreturn]] void fail_to_repeat(const std::string& name, int error) {
  throw Error(ErrorCode::out_of_memory,
              fmt::format("cannot make a region of memory: {}", std::strerror(error)), name);
}

std::int64_t nanoseconds(const timespec& time) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  return std::int64_t{time.tv_sec} * kSecond + time.tv_nsec;
}

FileIdentity identity_of(const struct stat& status) {
  return {.device = status.st_dev,
          .inode = status.st_ino,
          .size = static_cast<std::uint64_t>(status.st_size),
          .modified = nanoseconds(status.st_mtim),
          .changed = nanoseconds(status.st_ctim)};
}

// A file descriptor that is closed at the end.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int number() const { return number_; }

 private:
  int number_;
};

// Writes all of `block` at the start of an empty file in memory.
bool fill(int descriptor, std::span<const std::byte> block) {
  for (std::size_t done = 0; done < block.size();) {
    const auto rest = block.subspan(done);
    const ssize_t written = ::write(descriptor, rest.data(), rest.size());
    if (written <= 0) return false;
    done += static_cast<std::size_t>(written);
  }
  return true;
}

}  // namespace

MappedFile::MappedFile(std::filesystem::path path) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) fail(path_, errno);
  struct stat status {};
  const bool known = ::fstat(descriptor_, &status) == 0;
  if (!known || S_ISDIR(status.st_mode)) {
    const int error = known ? EISDIR : errno;
    ::close(descriptor_);
    fail(path_, error);
  }
  size_ = static_cast<std::size_t>(status.st_size);
  identity_ = identity_of(status);
  if (size_ == 0) return;
  void* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor_, 0);
  if (mapped == MAP_FAILED) {
    const int error = errno;
    ::close(descriptor_);
    fail(path_, error);
  }
  data_ = static_cast<const std::byte*>(mapped);
}

std::shared_ptr<const MappedFile> MappedFile::repeating(std::string name,
                                                        std::span<const std::byte> block,
                                                        std::size_t size) {
  assert(!block.empty() && block.size() % static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) == 0);
  const Descriptor memory(::memfd_create("flux2", MFD_CLOEXEC));
  if (memory.number() < 0 || !fill(memory.number(), block)) fail_to_repeat(name, errno);
  void* region =
      ::mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (region == MAP_FAILED) fail_to_repeat(name, errno);

  std::shared_ptr<MappedFile> mapped(new MappedFile);
  mapped->path_ = name;
  mapped->data_ = static_cast<const std::byte*>(region);
  mapped->size_ = size;
  for (std::size_t at = 0; at < size; at += block.size()) {
    void* place = static_cast<std::byte*>(region) + at;
    const std::size_t count = std::min(block.size(), size - at);
    if (::mmap(place, count, PROT_READ, MAP_PRIVATE | MAP_FIXED, memory.number(), 0) ==
        MAP_FAILED) {
      fail_to_repeat(name, errno);
    }
  }
  return mapped;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
  if (descriptor_ >= 0) ::close(descriptor_);
}

void MappedFile::require_complete() const {
  if (descriptor_ < 0) return;  // memory
  struct stat status {};
  if (::fstat(descriptor_, &status) == 0 && static_cast<std::size_t>(status.st_size) >= size_)
    return;
  throw Error(ErrorCode::bad_file, "was cut short while it was read", path_.string(),
              "get it again, and write new versions beside the old one before renaming them");
}

void MappedFile::will_need(std::span<const std::byte> range) const {
  // The kernel reads no more for one call than the device's own read-ahead, usually 128 KB.
  constexpr std::size_t kAtOnce = std::size_t{128} << 10;
  for (auto rest = pages_of(range, true); !rest.empty();) {
    const auto piece = rest.first(std::min(kAtOnce, rest.size()));
    ::madvise(piece.data(), piece.size(), MADV_WILLNEED);
    rest = rest.subspan(piece.size());
  }
}

void MappedFile::drop(std::span<const std::byte> range) const {
  const auto pages = pages_of(range, false);
  if (!pages.empty()) ::madvise(pages.data(), pages.size(), MADV_DONTNEED);
}

}  // namespace flux2
