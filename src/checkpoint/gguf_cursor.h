#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>

#include "checkpoint/metadata.h"

namespace flux2 {

/// Walks through the header of a GGUF file. Every length is held against what is left of the file
/// before anything is allocated for it.
class GgufCursor {
 public:
  GgufCursor(std::span<const std::byte> bytes, const std::string& file)
      : bytes_(bytes), file_(file) {}

  std::size_t position() const { return position_; }

  /// The next number, little-endian.
  template <typename T>
  T number(const char* what) {
    T value;
    std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
    return value;
  }
  /// A 64-bit length and as many bytes.
  std::string text(const char* what);
  /// A 64-bit number of things that each take at least `least_bytes` in the file.
  std::uint64_t count(std::uint64_t least_bytes, const char* what);
  /// A value type and the value; none for a list of lists, which is passed over.
  std::optional<Metadata::Value> value(const std::string& key);

  [[noreturn]] void refuse(const std::string& what, const std::string& hint) const;

 private:
  std::span<const std::byte> take(std::uint64_t size, const char* what);
  std::optional<Metadata::Value> list(const std::string& key);
  void pass_over(std::uint32_t type, int depth, const std::string& key);

  std::span<const std::byte> bytes_;
  const std::string& file_;
  std::size_t position_ = 0;
  std::uint64_t kept_elements_ = 0;  // of all lists so far
};

}  // namespace flux2
