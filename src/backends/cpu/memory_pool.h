#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>

#include "backends/cpu/page_source.h"
#include "tensor/tensor.h"

namespace flux2 {

/// Memory for tensors that is given out again instead of being freed, so that a repeated
/// computation asks the system for nothing after its first run and touches no new pages. Pages of
/// large blocks move from one to another: a model that takes another's place takes its pages, too.
///
/// A block goes back when its last tensor dies, on whatever thread, even after the pool's owner.
class MemoryPool : public std::enable_shared_from_this<MemoryPool> {
 public:
  /// Pools live in shared_ptrs: every block given out holds one.
  /// @param pages  must outlive it and every block
  static std::shared_ptr<MemoryPool> make(PageSource& pages = system_pages()) {
    return std::shared_ptr<MemoryPool>(new MemoryPool(pages));
  }
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;
  ~MemoryPool();

  /// At least `bytes`, 64-byte aligned and uninitialised.
  /// @throws Error out_of_memory
  std::shared_ptr<Storage> allocate(std::size_t bytes);
  /// A dense uninitialised tensor.
  Tensor tensor(const Shape& shape, DType dtype);
  /// Gives the blocks that no tensor uses back to the system.
  void trim();
  /// Bytes that no tensor uses.
  std::size_t idle_bytes() const;
  /// Bytes taken from the system and not given back.
  std::size_t held_bytes() const;
  /// The most of them since the last call.
  std::size_t take_peak();

 private:
  struct Block;
  struct Memory {
    void* data = nullptr;
    std::size_t size = 0;
  };

  explicit MemoryPool(PageSource& pages) : pages_(pages) {}
  void hold(std::size_t bytes);
  Memory take_idle(std::size_t size);
  void move_idle_pages_to(const Memory& memory);
  void release(void* data, std::size_t size) noexcept;

  PageSource& pages_;
  mutable std::mutex mutex_;
  std::multimap<std::size_t, void*> idle_;  ///< by size
  std::size_t held_bytes_ = 0;
  std::size_t peak_bytes_ = 0;  ///< of held_bytes_
};

}  // namespace flux2
