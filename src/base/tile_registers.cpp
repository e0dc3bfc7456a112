#include "base/tile_registers.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace flux2 {
namespace {

// CPUID leaf 7, EDX.
constexpr unsigned kBf16Tiles = 1U << 22;
constexpr unsigned kTiles = 1U << 24;
constexpr unsigned kByteTiles = 1U << 25;
// arch_prctl(2): the state of the tiles is large, and given on request.
constexpr long kRequestPermission = 0x1023;
constexpr long kTileData = 18;

bool ask() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  constexpr unsigned kAll = kBf16Tiles | kTiles | kByteTiles;
  if ((d & kAll) != kAll) return false;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

bool may_use_tiles() {
  static const bool granted = ask();
  return granted;
}

}  // namespace flux2
