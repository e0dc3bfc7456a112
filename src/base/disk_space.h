#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace flux2 {

/// Free bytes on the disk where `path` is or will be; none if the system does not say.
std::optional<std::int64_t> free_disk_space(std::filesystem::path path);

/// @throws Error bad_file: fewer than `bytes` are free there
void require_disk_space(const std::filesystem::path& path, std::int64_t bytes);

}  // namespace flux2
