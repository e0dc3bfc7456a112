#include "checkpoint/finite.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <vector>

#include "base/parallel.h"
#include "checkpoint/in_quotes.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

// An element is finite if its bits without the sign are below `limit`, for every floating type:
// exponents lie above mantissas. Signed words, because SSE2 compares only those.
template <typename Word>
bool is_bad(const std::byte* element, Word limit) {
  Word bits;
  std::memcpy(&bits, element, sizeof(bits));  // mapped bytes may be unaligned
  return (bits & std::numeric_limits<Word>::max()) >= limit;
}

// Without a branch in the loop, so that it becomes vector code.
template <typename Word>
bool any_bad(const std::byte* elements, std::int64_t count, Word limit) {
  Word bad = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    bad = static_cast<Word>(
        bad | static_cast<Word>(is_bad(elements + i * std::int64_t{sizeof(Word)}, limit)));
  }
  return bad != 0;
}

constexpr std::int64_t kBlock = 1 << 14;      // elements looked at before stopping early
constexpr std::int64_t kGrain = 16 * kBlock;  // elements that make a thread worthwhile

template <typename Word>
std::optional<std::int64_t> search(const StoredTensor& tensor, Word limit) {
  const std::byte* elements = tensor.bytes.data();
  const auto size = std::int64_t{sizeof(Word)};
  const auto count = static_cast<std::int64_t>(tensor.bytes.size()) / size;
  std::atomic<std::int64_t> first{count};  // start of the first bad block
  parallel_for(count, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end && i < first.load(std::memory_order_relaxed);
         i += kBlock) {
      if (!any_bad(elements + i * size, std::min(kBlock, end - i), limit)) continue;
      std::int64_t known = first.load();
      while (i < known && !first.compare_exchange_weak(known, i)) {
      }
      return;
    }
  });
  for (std::int64_t i = first; i < count; ++i) {
    if (is_bad(elements + i * size, limit)) return i;
  }
  return std::nullopt;
}

// The same for numbers that only a decoder can read.
std::optional<std::int64_t> search_decoded(const StoredTensor& tensor) {
  const std::int64_t width = row_elements(tensor);
  const std::int64_t rows = width == 0 ? 0 : tensor.shape.elements() / width;
  std::atomic<std::int64_t> first{rows * width};
  const std::int64_t grain = std::max<std::int64_t>(1, kBlock / std::max<std::int64_t>(1, width));
  parallel_for(rows, grain, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> values(static_cast<std::size_t>(width));
    for (std::int64_t row = begin; row < end && row * width < first.load(); ++row) {
      read_rows(tensor, row, 1, values.data());
      const auto bad = std::find_if(values.begin(), values.end(),
                                    [](float value) { return !std::isfinite(value); });
      if (bad == values.end()) continue;
      const std::int64_t index = row * width + (bad - values.begin());
      std::int64_t known = first.load();
      while (index < known && !first.compare_exchange_weak(known, index)) {
      }
      return;
    }
  });
  if (first == rows * width) return std::nullopt;
  return first.load();
}

}  // namespace

std::optional<std::int64_t> first_non_finite(const StoredTensor& tensor) {
  if (tensor.decoder) return search_decoded(tensor);
  switch (tensor.dtype) {
    case DType::f32:
      return search<std::int32_t>(tensor, 0x7F800000);
    case DType::f16:
      return search<std::int16_t>(tensor, 0x7C00);
    case DType::bf16:
      return search<std::int16_t>(tensor, 0x7F80);
    case DType::f8_e4m3:
      return search<std::int8_t>(tensor, 0x7F);
    case DType::f8_e5m2:
      return search<std::int8_t>(tensor, 0x7C);
    case DType::f64:  // what rounds to a finite float: below 2^128 - 2^103
      return search<std::int64_t>(tensor, 0x47EFFFFFF0000000);
    default:
      return std::nullopt;
  }
}

void require_finite(const StoredTensor& tensor) {
  const std::optional<std::int64_t> index = first_non_finite(tensor);
  if (!index) return;
  throw Error(ErrorCode::bad_file,
              fmt::format("tensor {} {}: element {} is NaN or infinite", in_quotes(tensor.name),
                          tensor.shape.to_string(), *index),
              tensor.file, "the file is damaged: get it again");
}

}  // namespace flux2
