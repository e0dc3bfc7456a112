#include "base/disk_space.h"

#include <fmt/format.h>
#include <sys/statvfs.h>

#include "flux2/error.h"

namespace flux2 {

namespace fs = std::filesystem;

std::optional<std::int64_t> free_disk_space(fs::path path) {
  std::error_code ignored;
  path = fs::absolute(path);
  while (!fs::exists(path, ignored) && path.has_relative_path())
    path = path.parent_path();
  struct statvfs status {};
  if (::statvfs(path.c_str(), &status) != 0) return std::nullopt;
  return static_cast<std::int64_t>(status.f_bavail * status.f_frsize);
}

void require_disk_space(const fs::path& path, std::int64_t bytes) {
  constexpr double kGigabyte = 1e9;
  const std::optional<std::int64_t> there = free_disk_space(path);
  if (!there || bytes <= *there) return;
  throw Error(
      ErrorCode::bad_file,
      fmt::format("needs {:.2f} GB and there are {:.2f} GB free",
                  static_cast<double>(bytes) / kGigabyte, static_cast<double>(*there) / kGigabyte),
      path.string(), "free some space or choose another disk");
}

}  // namespace flux2
