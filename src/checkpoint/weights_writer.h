#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace flux2 {

/// Writes a file of weights of any size piece by piece: all tensors were planned, and their bytes
/// follow back to back in that order. The file gets its name at the end.
class WeightsWriter {
 public:
  virtual ~WeightsWriter() = default;
  /// The next bytes; pieces need not end where tensors do.
  /// @throws Error bad_file: the disk is full
  virtual void write(std::span<const std::byte> bytes) = 0;
  /// Gives the file its name. Every planned byte must have been written.
  /// @throws Error bad_file: the disk is full
  virtual void commit() = 0;

  /// Bytes of all tensors.
  virtual std::uint64_t total() const = 0;
  /// Bytes of them that were written so far.
  virtual std::uint64_t written() const = 0;
};

}  // namespace flux2
