#pragma once

#include <cstddef>

namespace flux2 {

/// Where a MemoryPool has its memory from.
class PageSource {
 public:
  /// Blocks of so many bytes and more are mapped, and shrink the process when they are given back.
  static constexpr std::size_t kMappedFrom = std::size_t{256} << 10;
  static constexpr std::size_t kHugePage = std::size_t{2} << 20;

  virtual ~PageSource() = default;
  /// `size` bytes, 64-byte aligned; blocks of several huge pages begin at one. nullptr: there is
  /// no memory.
  virtual void* take(std::size_t size) = 0;
  /// Gives back what take() gave, or a range of whole huge pages of it.
  virtual void give(void* data, std::size_t size) = 0;
  /// Moves whole huge pages to where `target` is mapped, without copying a byte.
  /// @return the bytes moved: less than `size` where the system has no room for more mappings
  virtual std::size_t move(std::byte* source, std::byte* target, std::size_t size) = 0;
};

/// The system's memory.
PageSource& system_pages();

/// Addresses with nothing behind them: for a pool that is only counted. Nobody may read or write
/// there.
PageSource& imaginary_pages();

}  // namespace flux2
