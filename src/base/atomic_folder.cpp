#include "base/atomic_folder.h"

#include <fmt/format.h>
#include <unistd.h>

#include <system_error>
#include <utility>

#include "flux2/error.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

// Runs action(code), which sets `code` where it fails.
template <typename Action>
void attempt(const fs::path& path, Action action) {
  std::error_code code;
  action(code);
  if (!code) return;
  throw Error(ErrorCode::bad_file, "cannot be written: " + code.message(), path.string(),
              "choose a place that can be written, on a disk with room");
}

fs::path without_slash(fs::path path) {
  return path.has_filename() ? path : path.parent_path();
}

}  // namespace

AtomicFolder::AtomicFolder(fs::path path)
    : path_(without_slash(std::move(path))),
      temporary_(path_.parent_path() /
                 fmt::format(".{}.{}.tmp", path_.filename().string(), getpid())) {
  require_absent(path_);
  attempt(path_, [&](std::error_code& code) { fs::create_directories(temporary_, code); });
}

AtomicFolder::~AtomicFolder() {
  std::error_code ignored;
  fs::remove_all(temporary_, ignored);
}

void AtomicFolder::make_folder(const fs::path& relative) const {
  attempt(path_,
          [&](std::error_code& code) { fs::create_directories(temporary_ / relative, code); });
}

void AtomicFolder::copy(const fs::path& file, const fs::path& relative) const {
  make_folder(relative.parent_path());
  attempt(path_, [&](std::error_code& code) { fs::copy_file(file, temporary_ / relative, code); });
}

void AtomicFolder::commit() {
  require_absent(path_);
  attempt(path_, [&](std::error_code& code) { fs::rename(temporary_, path_, code); });
}

void require_absent(const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(fs::symlink_status(path, ignored))) return;
  throw Error(ErrorCode::bad_file, "there is something of that name already", path.string(),
              "choose another name or remove it");
}

}  // namespace flux2
