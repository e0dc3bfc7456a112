#include "checkpoint/encodings/block_decoder.h"

#include <algorithm>
#include <array>

#include "checkpoint/encodings/gguf_k_blocks.h"

namespace flux2 {

// A row of the tensor need not be whole blocks: tensors of one dimension have rows of one number,
// and a tensor may have been given another shape to fit its blocks.
void BlockDecoder::decode(const StoredTensor& stored, std::int64_t begin, std::int64_t count,
                          float* rows) const {
  constexpr std::size_t kLargestBlock = 256;
  std::array<float, kLargestBlock> cut;
  const std::int64_t width = row_elements(stored);
  std::int64_t position = begin * width;
  const std::int64_t end = position + count * width;
  while (position < end) {
    const std::int64_t block = position / type_.elements;
    const std::int64_t skipped = position % type_.elements;
    const std::byte* bytes = stored.bytes.data() + block * type_.bytes;
    const std::int64_t whole = (end - position) / type_.elements;
    if (skipped == 0 && whole > 0) {
      type_.decode(bytes, whole, rows);
      position += whole * type_.elements;
      rows += whole * type_.elements;
      continue;
    }
    const std::int64_t taken = std::min(type_.elements - skipped, end - position);
    type_.decode(bytes, 1, cut.data());
    std::copy_n(cut.data() + skipped, taken, rows);
    position += taken;
    rows += taken;
  }
}

std::optional<ScaleRange> BlockDecoder::scales(const StoredTensor& stored) const {
  const auto* block = reinterpret_cast<const std::uint8_t*>(stored.bytes.data()) + type_.scale_at;
  const std::int64_t blocks = static_cast<std::int64_t>(stored.bytes.size()) / type_.bytes;
  if (blocks == 0) return std::nullopt;
  ScaleRange range{half_at(block), half_at(block), blocks};
  for (std::int64_t i = 1; i < blocks; ++i) {
    const float scale = half_at(block + i * type_.bytes);
    range.least = std::min(range.least, scale);
    range.most = std::max(range.most, scale);
  }
  return range;
}

}  // namespace flux2
