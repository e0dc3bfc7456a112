#include "backends/cpu/memory_pool.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <iterator>
#include <new>

#include "flux2/error.h"

namespace flux2 {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
// From here on blocks are mapped, so that giving them back really shrinks the process.
constexpr std::size_t kMappedFrom = std::size_t{256} << 10;
// From here on blocks are whole huge pages, and made of the pages of idle blocks where those are
// too small.
constexpr std::size_t kPiecedFrom = 4 * kHugePage;
// Past this, no rounding makes sense of a size: no machine has so much memory.
constexpr std::size_t kMostBytes = std::size_t{1} << 46;

// Eight classes to each power of two: at most 1/8 is wasted, and nearly equal sizes share blocks.
// Large blocks need no classes, since pages move from one to another.
std::size_t class_of(std::size_t bytes) {
  if (bytes >= kPiecedFrom) return (bytes + kHugePage - 1) / kHugePage * kHugePage;
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

// Moves huge pages to where `target` is mapped, without copying a byte; returns the bytes moved,
// less than `size` where the system has no room for more mappings. One page at a time, because
// before Linux 6.17 a move must not span the seam between pages that came from different places.
std::size_t move_pages(std::byte* source, std::byte* target, std::size_t size) {
  for (std::size_t done = 0; done < size; done += kHugePage) {
    const void* moved =
        mremap(source + done, kHugePage, kHugePage, MREMAP_MAYMOVE | MREMAP_FIXED, target + done);
    if (moved != MAP_FAILED) continue;
    mmap(target + done, kHugePage, PROT_READ | PROT_WRITE,  // the failed call may have unmapped it
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    return done;
  }
  return size;
}

bool is_huge_pages(const void* data, std::size_t size) {
  return size % kHugePage == 0 && std::bit_cast<std::uintptr_t>(data) % kHugePage == 0;
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
  Memory memory;
  if (bytes <= kMostBytes) {
    const std::size_t size = class_of(bytes);
    const std::lock_guard lock(mutex_);
    memory = take_idle(size);
    if (memory.data == nullptr) {
      memory = {take_from_system(size), size};
      if (memory.data != nullptr) held_bytes_ += size;
      if (memory.data != nullptr && size >= kPiecedFrom) move_idle_pages_to(memory);
    }
  }
  if (memory.data == nullptr) {
    throw Error(ErrorCode::out_of_memory, fmt::format("no memory for a tensor of {} bytes", bytes),
                "", "use a smaller size, fewer pictures at once or a machine with more memory");
  }
  return std::make_shared<Block>(shared_from_this(), memory.data, memory.size);
}

// An idle block that is large enough. One that is somewhat too large is better than a new one; of
// one that is much too large the rest stays idle.
MemoryPool::Memory MemoryPool::take_idle(std::size_t size) {
  auto fitting = idle_.lower_bound(size);
  if (fitting == idle_.end()) return {};
  Memory memory = {fitting->second, fitting->first};
  if (memory.size > size + size / 4) {
    fitting = std::prev(idle_.end());
    memory = {fitting->second, fitting->first};
    if (size < kPiecedFrom || !is_huge_pages(memory.data, memory.size)) return {};
    idle_.erase(fitting);
    idle_.emplace(memory.size - size, static_cast<std::byte*>(memory.data) + size);
    return {memory.data, size};
  }
  idle_.erase(fitting);
  return memory;
}

// Pages that have been touched cost nothing, new ones the time that the system takes to clear them:
// whatever lies idle becomes part of `memory`, which is new.
void MemoryPool::move_idle_pages_to(const Memory& memory) {
  std::size_t done = 0;
  for (auto idle = idle_.end(); idle != idle_.begin() && done < memory.size;) {
    --idle;  // the largest first, so that there are few seams
    const auto [size, data] = *idle;
    if (size < kHugePage) return;
    if (!is_huge_pages(data, size)) continue;
    const std::size_t wanted = std::min(size, memory.size - done);
    auto* source = static_cast<std::byte*>(data);
    const std::size_t moved =
        move_pages(source, static_cast<std::byte*>(memory.data) + done, wanted);
    done += moved;
    held_bytes_ -= moved;
    idle = idle_.erase(idle);
    if (moved < size) idle_.emplace(size - moved, source + moved);
    if (moved < wanted) return;
  }
}

Tensor MemoryPool::tensor(const Shape& shape, DType dtype) {
  return {allocate(bytes_for(shape, dtype)), dtype, shape};
}

void MemoryPool::release(void* data, std::size_t size) noexcept {
  const std::lock_guard lock(mutex_);
  try {
    idle_.emplace(size, data);
  } catch (const std::bad_alloc&) {
    give_to_system(data, size);
    held_bytes_ -= size;
  }
}

std::size_t MemoryPool::idle_bytes() const {
  const std::lock_guard lock(mutex_);
  std::size_t bytes = 0;
  for (const auto& [size, data] : idle_)
    bytes += size;
  return bytes;
}

void MemoryPool::trim() {
  const std::lock_guard lock(mutex_);
  for (const auto& [size, data] : idle_) {
    give_to_system(data, size);
    held_bytes_ -= size;
  }
  idle_.clear();
}

std::size_t MemoryPool::held_bytes() const {
  const std::lock_guard lock(mutex_);
  return held_bytes_;
}

}  // namespace flux2
