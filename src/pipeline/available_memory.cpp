#include "pipeline/available_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string_view>
#include <vector>

namespace flux2 {
namespace {

namespace fs = std::filesystem;

// The number behind `key` in a file of "key number" lines.
std::optional<std::int64_t> number_after(const fs::path& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string word;
    std::int64_t value = 0;
    if (words >> word && word == key && words >> value) return value;
  }
  return {};
}

// A file that holds one number; nothing where it says "max".
std::optional<std::int64_t> number_in(const fs::path& path) {
  std::ifstream file(path);
  std::int64_t value = 0;
  if (file >> value) return value;
  return {};
}

// What the two versions of control groups call the same things.
struct GroupNames {
  const char *limit, *used, *idle_files, *used_files;
};
constexpr GroupNames kVersion1 = {"memory.limit_in_bytes", "memory.usage_in_bytes",
                                  "total_inactive_file", "total_active_file"};
constexpr GroupNames kVersion2 = {"memory.max", "memory.current", "inactive_file", "active_file"};

// What one group leaves; nothing where it has no limit.
std::optional<std::int64_t> left_in(const fs::path& group, const GroupNames& names) {
  const auto limit = number_in(group / names.limit);
  const auto used = number_in(group / names.used);
  if (!limit || !used) return {};
  const fs::path stat = group / "memory.stat";
  const std::int64_t files = number_after(stat, names.idle_files).value_or(0) +
                             number_after(stat, names.used_files).value_or(0);
  return std::max<std::int64_t>(0, *limit - *used + std::min(files, *used));
}

// The group at `path` below `root`, and all around it. Inside a container the path may name folders
// that are not seen there: those have no files.
void look_into(const fs::path& root, const std::string& path, const GroupNames& names,
               AvailableMemory& least) {
  const auto look = [&](const fs::path& group, std::string_view name) {
    const auto left = left_in(group, names);
    if (left && *left < least.bytes) least = {*left, fmt::format("control group {}", name)};
  };
  look(root, "/");
  fs::path group = root;
  std::string name;
  for (const fs::path& part : fs::path(path).relative_path()) {
    group /= part;
    name = fmt::format("{}/{}", name, part.string());
    look(group, name);
  }
}

// "4:memory:/a/b" is version 1, "0::/a/b" version 2.
bool names_memory(std::string_view controllers) {
  return controllers == "memory" || controllers.starts_with("memory,") ||
         controllers.ends_with(",memory") || controllers.find(",memory,") != std::string_view::npos;
}

}  // namespace

AvailableMemory find_available_memory(const SystemFiles& files) {
  constexpr std::int64_t kKilobyte = 1024;
  AvailableMemory least = {std::numeric_limits<std::int64_t>::max(), "no limit"};
  if (const auto free = number_after(files.proc / "meminfo", "MemAvailable:")) {
    least = {*free * kKilobyte, "free memory"};
  }
  std::ifstream groups(files.proc / "self" / "cgroup");
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) look_into(files.cgroup, path, kVersion2, least);
    if (names_memory(controllers)) look_into(files.cgroup / "memory", path, kVersion1, least);
  }
  return least;
}

}  // namespace flux2
