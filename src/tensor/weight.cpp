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

}  // namespace flux2
