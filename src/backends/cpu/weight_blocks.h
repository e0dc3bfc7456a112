#pragma once

#include <cstddef>
#include <cstdint>

#include "backends/cpu/stored_rows.h"

namespace flux2 {

/// The blocked layout of a linear layer's weight W [out, in] that matrix instructions read: 64
/// outputs side by side, for each of them 64 bytes of its row at a time, in units of 4 bytes (one
/// f32, two bf16), so that a vector load gives the same unit of neighbouring outputs.
///
///   blocks [out / 64] [row bytes / 64] [16 units] [64 outputs] [4 bytes]
///
/// Both ends are padded with zeros. oneDNN calls it BA16a64b (f32) and BA16a64b2a (bf16).
namespace weight_blocks {

inline constexpr std::int64_t kOutputs = 64;
inline constexpr std::int64_t kRowBytes = 64;
inline constexpr std::int64_t kBlockBytes = kOutputs * kRowBytes;

/// Bytes of `out` rows of `row_bytes` in this layout.
std::int64_t packed_bytes(std::int64_t out, std::int64_t row_bytes);

/// Packs all rows, in parallel, reading and writing everything once.
/// @param target  packed_bytes(rows.count(), rows.row_bytes()), 16-byte aligned
void pack(const StoredRows& rows, MemoryPool& pool, std::byte* target);

}  // namespace weight_blocks
}  // namespace flux2
