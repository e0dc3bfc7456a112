#include "tensor/weight.h"

#include <cassert>

namespace flux2 {

bool holds_numbers(const StoredTensor& stored) {
  return stored.decoder != nullptr || is_floating(stored.dtype);
}

std::string_view encoding_of(const StoredTensor& stored) {
  return stored.decoder != nullptr ? stored.decoder->name() : name_of(stored.dtype);
}

std::int64_t row_elements(const StoredTensor& stored) {
  std::int64_t elements = 1;
  for (int axis = 1; axis < stored.shape.rank(); ++axis)
    elements *= stored.shape[axis];
  return elements;
}

std::int64_t rows_together(const StoredTensor& stored) {
  return stored.decoder != nullptr ? stored.decoder->rows_together() : 1;
}

void read_rows(const StoredTensor& stored, std::int64_t begin, std::int64_t count, float* rows) {
  assert(holds_numbers(stored) && begin >= 0 && count >= 0);
  assert(begin + count <= (stored.shape.rank() == 0 ? 1 : stored.shape[0]));
  const std::int64_t width = row_elements(stored);
  if (width == 0) return;
  if (stored.decoder != nullptr) return stored.decoder->decode(stored, begin, count, rows);
  const std::int64_t offset = begin * width * static_cast<std::int64_t>(size_of(stored.dtype));
  convert_to_float(stored.dtype, stored.bytes.data() + offset, rows,
                   static_cast<std::size_t>(count * width));
}

// The fast Walsh-Hadamard transform: sums and differences, halves of 1, 2, 4 ... 32 rows apart.
void rotate(Rotation rotation, std::span<float> row) {
  if (rotation == Rotation::none) return;
  assert(row.size() % kRotationSize == 0);
  const std::size_t width = row.size() / kRotationSize;
  for (std::size_t half = width; half < row.size(); half *= 2) {
    for (std::size_t first = 0; first < row.size(); first += 2 * half) {
      for (std::size_t i = first; i < first + half; ++i) {
        const float a = row[i], b = row[i + half];
        row[i] = a + b;
        row[i + half] = a - b;
      }
    }
  }
  for (float& number : row)
    number *= 0.125f;
}

}  // namespace flux2
