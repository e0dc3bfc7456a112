#include "checkpoint/encodings/microscaled_decoder.h"

#include <algorithm>
#include <bit>

#include "checkpoint/encodings/scales.h"

// The order of multiplications is comfy-kitchen's, whose float results these are bit for bit.
namespace flux2 {
namespace {

constexpr std::int64_t kFp4Group = 16;
constexpr std::int64_t kFp8Group = 32;

float e8m0(std::uint8_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 23);
}

const std::uint8_t* bytes_of(const StoredTensor& tensor) {
  return reinterpret_cast<const std::uint8_t*>(tensor.bytes.data());
}

// Range of value(byte) over the scales of a matrix of `rows` and `columns` scales.
template <typename Value>
std::optional<ScaleRange> range_of_blocks(const StoredTensor& scales, std::int64_t rows,
                                          std::int64_t columns, Value value) {
  if (rows == 0 || columns == 0) return std::nullopt;
  const BlockedLayout layout(columns);
  const std::uint8_t* stored = bytes_of(scales);
  ScaleRange range{value(stored[0]), value(stored[0]), rows * columns};
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t column = 0; column < columns; ++column) {
      const float scale = value(stored[layout.index(row, column)]);
      range.least = std::min(range.least, scale);
      range.most = std::max(range.most, scale);
    }
  }
  return range;
}

}  // namespace

void Nvfp4Decoder::decode(const StoredTensor& stored, std::int64_t begin, std::int64_t count,
                          float* rows) const {
  const std::int64_t width = row_elements(stored);
  const BlockedLayout layout(width / kFp4Group);
  const std::uint8_t* scales = bytes_of(block_scales_);
  for (std::int64_t row = begin; row < begin + count; ++row, rows += width) {
    const std::uint8_t* codes = bytes_of(stored) + row * width / 2;
    for (std::int64_t group = 0; group < width / kFp4Group; ++group) {
      const float scale = scale_ * f8_e4m3_to_float(scales[layout.index(row, group)]);
      const std::uint8_t* pairs = codes + group * kFp4Group / 2;
      float* out = rows + group * kFp4Group;
      for (std::int64_t i = 0; i < kFp4Group / 2; ++i) {
        out[2 * i] = kE2m1[pairs[i] >> 4] * scale;
        out[2 * i + 1] = kE2m1[pairs[i] & 15] * scale;
      }
    }
    for (std::size_t k = 0; k < smoothing_.size(); ++k)
      rows[k] *= smoothing_[k];
  }
}

std::optional<ScaleRange> Nvfp4Decoder::scales(const StoredTensor& stored) const {
  return range_of_blocks(block_scales_, stored.shape[0], row_elements(stored) / kFp4Group,
                         [&](std::uint8_t bits) { return scale_ * f8_e4m3_to_float(bits); });
}

void Mxfp8Decoder::decode(const StoredTensor& stored, std::int64_t begin, std::int64_t count,
                          float* rows) const {
  const std::int64_t width = row_elements(stored);
  const BlockedLayout layout(width / kFp8Group);
  const std::uint8_t* scales = bytes_of(block_scales_);
  for (std::int64_t row = begin; row < begin + count; ++row, rows += width) {
    convert_to_float(DType::f8_e4m3, stored.bytes.data() + row * width, rows,
                     static_cast<std::size_t>(width));
    for (std::int64_t group = 0; group < width / kFp8Group; ++group) {
      const float scale = e8m0(scales[layout.index(row, group)]);
      float* out = rows + group * kFp8Group;
      for (std::int64_t i = 0; i < kFp8Group; ++i)
        out[i] *= scale;
    }
  }
}

std::optional<ScaleRange> Mxfp8Decoder::scales(const StoredTensor& stored) const {
  return range_of_blocks(block_scales_, stored.shape[0], row_elements(stored) / kFp8Group, e8m0);
}

}  // namespace flux2
