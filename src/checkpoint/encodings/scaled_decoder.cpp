#include "checkpoint/encodings/scaled_decoder.h"

#include <algorithm>
#include <utility>

#include "checkpoint/encodings/scales.h"

namespace flux2 {
namespace {

void convert(DType dtype, const std::byte* source, float* target, std::int64_t count) {
  if (dtype != DType::i8) {
    convert_to_float(dtype, source, target, static_cast<std::size_t>(count));
    return;
  }
  const auto* values = reinterpret_cast<const std::int8_t*>(source);
  for (std::int64_t i = 0; i < count; ++i)
    target[i] = static_cast<float>(values[i]);
}

}  // namespace

ScaledDecoder::ScaledDecoder(const StoredTensor& weight, ScaleGrid grid, const std::string& kind,
                             Rotation rotation)
    : grid_(std::move(grid)),
      name_(std::string(name_of(weight.dtype)) + " with " + kind),
      rotation_(rotation) {
  const std::int64_t width = row_elements(weight);
  if (weight.dtype != DType::i8 || grid_.columns < width || weight.shape.rank() == 0) return;
  row_scales_.resize(static_cast<std::size_t>(weight.shape[0]));
  for (std::size_t row = 0; row < row_scales_.size(); ++row)
    row_scales_[row] = grid_.scales[row / static_cast<std::size_t>(grid_.rows)];
  int8_ = {{reinterpret_cast<const std::int8_t*>(weight.bytes.data()), weight.bytes.size()},
           row_scales_,
           rotation_};
}

void ScaledDecoder::decode(const StoredTensor& stored, std::int64_t begin, std::int64_t count,
                           float* rows) const {
  const std::int64_t width = row_elements(stored);
  const std::int64_t blocks = (width + grid_.columns - 1) / grid_.columns;
  for (std::int64_t row = begin; row < begin + count; ++row, rows += width) {
    convert(stored.dtype, stored.bytes.data() + row * width, rows, width);
    const float* scales = grid_.scales.data() + row / grid_.rows * blocks;
    for (std::int64_t block = 0; block < blocks; ++block) {
      const float scale = scales[block];
      const std::int64_t end = std::min(width, (block + 1) * grid_.columns);
      for (std::int64_t k = block * grid_.columns; k < end; ++k)
        rows[k] *= scale;
    }
    rotate(rotation_, {rows, static_cast<std::size_t>(width)});
  }
}

std::optional<ScaleRange> ScaledDecoder::scales(const StoredTensor&) const {
  return range_of(grid_.scales);
}

}  // namespace flux2
