#include "backends/cpu/memory_pool.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <new>

#include "flux2/error.h"

namespace flux2 {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
// From here on blocks are mapped, so that giving them back really shrinks the process.
constexpr std::size_t kMappedFrom = std::size_t{256} << 10;
// Past this, no rounding makes sense of a size: no machine has so much memory.
constexpr std::size_t kMostBytes = std::size_t{1} << 46;

// Eight classes to each power of two: at most 1/8 is wasted, and nearly equal sizes share blocks.
std::size_t class_of(std::size_t bytes) {
  const std::size_t step =
      std::max(kAlignment, std::bit_floor(std::max<std::size_t>(bytes, 1)) / 8);
  return std::max(kAlignment, (bytes + step - 1) / step * step);
}

// Large blocks start at a huge page, so that the kernel can back them with whole ones: matmuls
// walk weights of tens of megabytes and would miss the TLB at every row otherwise.
void* map_block(std::size_t size) {
  const std::size_t slack = size >= 2 * kHugePage ? kHugePage : 0;
  void* mapped = mmap(nullptr, size + slack, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  if (slack == 0) return mapped;
  auto* begin = static_cast<std::byte*>(mapped);
  const std::size_t misfit = std::bit_cast<std::uintptr_t>(begin) % kHugePage;
  const std::size_t before = misfit == 0 ? 0 : kHugePage - misfit;
  if (before > 0) munmap(begin, before);
  if (slack > before) munmap(begin + before + size, slack - before);
  madvise(begin + before, size, MADV_HUGEPAGE);
  return begin + before;
}

// Mapped sizes are whole pages already: 256 KiB / 8 is a multiple of 4096.
void* take_from_system(std::size_t size) {
  if (size >= kMappedFrom) return map_block(size);
  return ::operator new (size, std::align_val_t{kAlignment}, std::nothrow);
}

void give_to_system(void* data, std::size_t size) {
  if (size >= kMappedFrom) {
    munmap(data, size);
  } else {
    ::operator delete (data, std::align_val_t{kAlignment});
  }
}

}  // namespace

struct MemoryPool::Block final : Storage {
  Block(std::shared_ptr<MemoryPool> owner, void* memory, std::size_t size)
      : pool(std::move(owner)) {
    data = memory;
    bytes = size;
  }
  ~Block() override { pool->release(data, bytes); }

  std::shared_ptr<MemoryPool> pool;
};

MemoryPool::~MemoryPool() {
  trim();
}

std::shared_ptr<Storage> MemoryPool::allocate(std::size_t bytes) {
  const std::size_t size = bytes <= kMostBytes ? class_of(bytes) : bytes;
  void* data = nullptr;
  std::size_t found = size;
  {
    const std::lock_guard lock(mutex_);
    // A block that is somewhat too large is better than a new one.
    const auto fitting = free_.lower_bound(size);
    if (fitting != free_.end() && fitting->first <= size + size / 4) {
      found = fitting->first;
      data = fitting->second;
      free_.erase(fitting);
    }
  }
  if (data == nullptr) {
    if (bytes <= kMostBytes) data = take_from_system(size);
    if (data == nullptr) {
      throw Error(ErrorCode::out_of_memory,
                  fmt::format("no memory for a tensor of {} bytes", bytes), "",
                  "use a smaller size, fewer pictures at once or a machine with more memory");
    }
    const std::lock_guard lock(mutex_);
    held_bytes_ += size;
  }
  return std::make_shared<Block>(shared_from_this(), data, found);
}

Tensor MemoryPool::tensor(const Shape& shape, DType dtype) {
  return {allocate(bytes_for(shape, dtype)), dtype, shape};
}

void MemoryPool::release(void* data, std::size_t size) noexcept {
  const std::lock_guard lock(mutex_);
  try {
    free_.emplace(size, data);
  } catch (const std::bad_alloc&) {
    give_to_system(data, size);
    held_bytes_ -= size;
  }
}

void MemoryPool::trim() {
  const std::lock_guard lock(mutex_);
  for (const auto& [size, data] : free_) {
    give_to_system(data, size);
    held_bytes_ -= size;
  }
  free_.clear();
}

std::size_t MemoryPool::held_bytes() const {
  const std::lock_guard lock(mutex_);
  return held_bytes_;
}

}  // namespace flux2
