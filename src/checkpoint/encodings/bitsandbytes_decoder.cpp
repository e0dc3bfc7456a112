#include "checkpoint/encodings/bitsandbytes_decoder.h"

#include <algorithm>
#include <utility>

#include "checkpoint/encodings/scales.h"

namespace flux2 {

BitsandbytesDecoder::BitsandbytesDecoder(State state)
    : state_(std::move(state)), name_("bitsandbytes " + state_.kind) {}

void BitsandbytesDecoder::decode(const StoredTensor& stored, std::int64_t begin, std::int64_t count,
                                 float* rows) const {
  const auto* codes = reinterpret_cast<const std::uint8_t*>(stored.bytes.data());
  const std::int64_t width = row_elements(stored);
  const std::int64_t first = begin * width;
  const std::int64_t last = first + count * width;
  for (std::int64_t element = first; element < last;) {
    const std::int64_t block = element / state_.block_size;
    const std::int64_t end = std::min(last, (block + 1) * state_.block_size);
    const float scale = state_.absmax[static_cast<std::size_t>(block)];
    std::array<float, 16> scaled;
    for (std::size_t code = 0; code < scaled.size(); ++code)
      scaled[code] = state_.table[code] * scale;
    float* out = rows + (element - first);
    if (element % 2 == 1) *out++ = scaled[codes[element++ / 2] & 15];
    for (; element + 1 < end; element += 2, out += 2) {
      out[0] = scaled[codes[element / 2] >> 4];
      out[1] = scaled[codes[element / 2] & 15];
    }
    if (element < end) *out = scaled[codes[element++ / 2] >> 4];
  }
}

std::optional<ScaleRange> BitsandbytesDecoder::scales(const StoredTensor&) const {
  return range_of(state_.absmax);
}

}  // namespace flux2
