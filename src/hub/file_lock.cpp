#include "hub/file_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "flux2/error.h"
#include "hub/patience.h"

namespace flux2 {
namespace {

constexpr std::chrono::milliseconds kPoll{50};

[[noreturn]] void fail(const char* doing, const std::filesystem::path& path, int error) {
  throw Error(ErrorCode::bad_file, fmt::format("cannot {}: {}", doing, std::strerror(error)),
              path.string(), "HF_HUB_CACHE names another folder for downloads");
}

// Somebody may have removed the file between our open() and flock(): that lock guards no name.
bool has_name(int descriptor) {
  struct stat status {};
  return fstat(descriptor, &status) == 0 && status.st_nlink > 0;
}

}  // namespace

FileLock::FileLock(const std::filesystem::path& path, const std::stop_token& stop) {
  while (true) {
    // Other users of a shared cache may wait for the lock too.
    descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0664);
    if (descriptor_ < 0) fail("create the lock", path, errno);
    const int result = ::flock(descriptor_, LOCK_EX | LOCK_NB);
    const int error = errno;
    if (result == 0 && has_name(descriptor_)) return;
    ::close(descriptor_);
    if (result != 0 && error != EWOULDBLOCK && error != EINTR) fail("lock", path, error);
    if (result != 0) wait_or_stop(kPoll, stop);
  }
}

FileLock::~FileLock() {
  ::close(descriptor_);
}

}  // namespace flux2
