#include "backends/cpu/memory_pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <iterator>
#include <utility>

#include "base/rounding.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kHugePage = PageSource::kHugePage;
// From here on blocks are whole huge pages, and made of the pages of idle blocks where those are
// too small.
constexpr std::size_t kPiecedFrom = 4 * kHugePage;
// Past this, no rounding makes sense of a size: no machine has so much memory.
constexpr std::size_t kMostBytes = std::size_t{1} << 46;

// Eight classes to each power of two: at most 1/8 is wasted, and nearly equal sizes share blocks.
// Large blocks need no classes, since pages move from one to another.
std::size_t class_of(std::size_t bytes) {
  if (bytes >= kPiecedFrom) return round_up(bytes, kHugePage);
  const std::size_t step =
      std::max(kAlignment, std::bit_floor(std::max<std::size_t>(bytes, 1)) / 8);
  return std::max(kAlignment, round_up(bytes, step));
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
      memory = {pages_.take(size), size};
      if (memory.data != nullptr && size >= kPiecedFrom) move_idle_pages_to(memory);
      if (memory.data != nullptr) hold(size);
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
        pages_.move(source, static_cast<std::byte*>(memory.data) + done, wanted);
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
    pages_.give(data, size);
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
    pages_.give(data, size);
    held_bytes_ -= size;
  }
  idle_.clear();
}

std::size_t MemoryPool::held_bytes() const {
  const std::lock_guard lock(mutex_);
  return held_bytes_;
}

void MemoryPool::hold(std::size_t bytes) {
  held_bytes_ += bytes;
  peak_bytes_ = std::max(peak_bytes_, held_bytes_);
}

std::size_t MemoryPool::take_peak() {
  const std::lock_guard lock(mutex_);
  return std::exchange(peak_bytes_, held_bytes_);
}

}  // namespace flux2
