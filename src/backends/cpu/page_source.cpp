#include "backends/cpu/page_source.h"

#include <sys/mman.h>

#include <atomic>
#include <bit>
#include <cstdint>
#include <new>

#include "base/rounding.h"

namespace flux2 {
namespace {

constexpr std::size_t kAlignment = 64;

class SystemPages final : public PageSource {
 public:
  // Mapped sizes are whole pages already: 256 KiB / 8 is a multiple of 4096.
  void* take(std::size_t size) override {
    if (size >= kMappedFrom) return map_block(size);
    return ::operator new (size, std::align_val_t{kAlignment}, std::nothrow);
  }

  void give(void* data, std::size_t size) override {
    if (size >= kMappedFrom) {
      munmap(data, size);
    } else {
      ::operator delete (data, std::align_val_t{kAlignment});
    }
  }

  // One page at a time, because before Linux 6.17 a move must not span the seam between pages that
  // came from different places.
  std::size_t move(std::byte* source, std::byte* target, std::size_t size) override {
    for (std::size_t done = 0; done < size; done += kHugePage) {
      const void* moved =
          mremap(source + done, kHugePage, kHugePage, MREMAP_MAYMOVE | MREMAP_FIXED, target + done);
      if (moved != MAP_FAILED) continue;
      mmap(target + done, kHugePage,
           PROT_READ | PROT_WRITE,  // the failed call may have unmapped it
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
      return done;
    }
    return size;
  }

 private:
  // Large blocks start at a huge page, so that the kernel can back them with whole ones: matmuls
  // walk weights of tens of megabytes and would miss the TLB at every row otherwise.
  static void* map_block(std::size_t size) {
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
};

class ImaginaryPages final : public PageSource {
 public:
  void* take(std::size_t size) override {
    const std::size_t pages = round_up(size, kHugePage);
    return std::bit_cast<void*>(next_.fetch_add(pages));
  }
  void give(void*, std::size_t) override {}
  std::size_t move(std::byte*, std::byte*, std::size_t size) override { return size; }

 private:
  std::atomic<std::uintptr_t> next_ = kHugePage;
};

}  // namespace

PageSource& system_pages() {
  static SystemPages pages;
  return pages;
}

PageSource& imaginary_pages() {
  static ImaginaryPages pages;
  return pages;
}

}  // namespace flux2
