#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <stop_token>
#include <string>

namespace flux2 {

enum class DigestKind {
  sha256,      ///< of the bytes: what large files (LFS) are named by
  git_object,  ///< SHA-1 of "blob SIZE\0" and the bytes: what git names small files by
};

/// SHA-256 of bytes in memory in lower-case hexadecimal.
std::string sha256_of(std::span<const std::byte> bytes);

/// The digest of a file's bytes in lower-case hexadecimal. Stops early if asked to; the result is
/// empty then.
/// @throws Error bad_file: cannot be read
std::string digest_of(const std::filesystem::path& file, DigestKind kind,
                      const std::stop_token& stop);

}  // namespace flux2
