#include "backends/cpu/weight_blocks.h"

#include <emmintrin.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/parallel.h"
#include "base/rounding.h"

namespace flux2::weight_blocks {
namespace {

// Where 64 rows begin; rows behind the last one are nullptr.
using RowPointers = std::array<const std::byte*, kOutputs>;

constexpr std::int64_t kVectorBytes = 16;
constexpr std::int64_t kUnitStride = kOutputs * 4;  // from one unit of an output to its next
// Hardware follows fewer streams than 64: this many bytes ahead each row is asked for by hand.
constexpr std::int64_t kAhead = 256;
// Less than this is not worth a thread.
constexpr std::int64_t kGrainBytes = std::int64_t{1} << 18;

// Four units of four rows, transposed: a vector holds one unit of the four rows.
void pack_four(const std::byte* const* rows, std::int64_t at, std::byte* target) {
  __m128i row[4];
  for (int i = 0; i < 4; ++i)
    row[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[i] + at));
  const __m128i low01 = _mm_unpacklo_epi32(row[0], row[1]);
  const __m128i low23 = _mm_unpacklo_epi32(row[2], row[3]);
  const __m128i high01 = _mm_unpackhi_epi32(row[0], row[1]);
  const __m128i high23 = _mm_unpackhi_epi32(row[2], row[3]);
  const __m128i unit[4] = {_mm_unpacklo_epi64(low01, low23), _mm_unpackhi_epi64(low01, low23),
                           _mm_unpacklo_epi64(high01, high23), _mm_unpackhi_epi64(high01, high23)};
  for (int i = 0; i < 4; ++i)  // past the caches: nothing here is read again before it is needed
    _mm_stream_si128(reinterpret_cast<__m128i*>(target + i * kUnitStride), unit[i]);
}

// One block: bytes [at, at + kRowBytes) of 64 rows. Whole cache lines are written one after
// another.
void pack_block(const RowPointers& rows, std::int64_t at, std::byte* target) {
  for (std::int64_t row = 0; row < kOutputs; row += 16) {
    for (std::int64_t byte = 0; byte < kRowBytes; byte += kVectorBytes) {
      std::byte* units = target + byte / 4 * kUnitStride + row * 4;
      for (std::int64_t four = 0; four < 16; four += 4)
        pack_four(&rows[static_cast<std::size_t>(row + four)], at + byte, units + four * 4);
    }
  }
}

// The same where rows end or are missing: from a copy that is filled up with zeros.
void pack_edge(const RowPointers& rows, std::int64_t at, std::int64_t row_bytes,
               std::byte* target) {
  std::array<std::byte, kBlockBytes> copy = {};
  RowPointers padded;
  const auto size = static_cast<std::size_t>(std::min(kRowBytes, row_bytes - at));
  for (std::size_t i = 0; i < padded.size(); ++i) {
    std::byte* row = copy.data() + i * kRowBytes;
    if (rows[i] != nullptr) std::memcpy(row, rows[i] + at, size);
    padded[i] = row;
  }
  pack_block(padded, 0, target);
}

void pack_rows(const RowPointers& rows, std::int64_t row_bytes, std::byte* target) {
  const bool complete = rows.back() != nullptr;
  for (std::int64_t at = 0; at < row_bytes; at += kRowBytes, target += kBlockBytes) {
    if (!complete || at + kRowBytes > row_bytes) {
      pack_edge(rows, at, row_bytes, target);
      continue;
    }
    if (at + kAhead < row_bytes) {
      for (const std::byte* row : rows)
        _mm_prefetch(reinterpret_cast<const char*>(row + at + kAhead), _MM_HINT_T0);
    }
    pack_block(rows, at, target);
  }
}

}  // namespace

std::int64_t packed_bytes(std::int64_t out, std::int64_t row_bytes) {
  return ceil_divide(out, kOutputs) * ceil_divide(row_bytes, kRowBytes) * kBlockBytes;
}

void pack(const StoredRows& rows, MemoryPool& pool, std::byte* target) {
  const std::int64_t row_bytes = rows.row_bytes();
  const std::int64_t group_bytes = packed_bytes(kOutputs, row_bytes);  // of 64 rows
  if (group_bytes == 0) return;
  const std::int64_t groups = ceil_divide(rows.count(), kOutputs);
  const std::int64_t parts = std::clamp<std::int64_t>(
      groups * group_bytes / kGrainBytes, 1, std::min<std::int64_t>(thread_count(), groups));
  // What is stored in another way is converted 64 rows at a time.
  const std::int64_t buffer_bytes = rows.are_stored_plainly() ? 0 : kOutputs * row_bytes;
  const auto buffers = pool.allocate(static_cast<std::size_t>(parts * buffer_bytes));
  parallel_for(parts, 1, [&](std::int64_t first_part, std::int64_t last_part) {
    for (std::int64_t part = first_part; part < last_part; ++part) {
      std::byte* buffer = static_cast<std::byte*>(buffers->data) + part * buffer_bytes;
      for (std::int64_t group = groups * part / parts; group < groups * (part + 1) / parts;
           ++group) {
        const std::int64_t begin = group * kOutputs;
        const std::int64_t count = std::min(kOutputs, rows.count() - begin);
        if (buffer_bytes > 0) rows.read(begin, count, buffer);
        RowPointers pointers = {};
        for (std::int64_t i = 0; i < count; ++i) {
          pointers[static_cast<std::size_t>(i)] =
              buffer_bytes > 0 ? buffer + i * row_bytes : rows.stored(begin + i);
        }
        pack_rows(pointers, row_bytes, target + group * group_bytes);
      }
    }
    _mm_sfence();  // streamed stores are seen by other threads only behind this
  });
}

}  // namespace flux2::weight_blocks
