#include "backends/cpu/stored_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <vector>

#include "backends/cpu/rows.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

// Mapped bytes as the storage of a tensor that is only read.
struct MappedStorage final : Storage {
  explicit MappedStorage(const StoredTensor& stored) : owner(stored.owner) {
    data = const_cast<std::byte*>(stored.bytes.data());
    bytes = stored.bytes.size();
  }
  std::shared_ptr<const void> owner;
};

void check_numbers(const StoredTensor& stored) {
  if (!holds_numbers(stored)) {
    throw Error(ErrorCode::bad_file,
                fmt::format("tensor {} holds {}, which are not real numbers", stored.name,
                            name_of(stored.dtype)),
                stored.file);
  }
  assert(stored.decoder || stored.bytes.size() == bytes_for(stored.shape, stored.dtype));
}

bool is_plain(const StoredTensor& stored, DType dtype) {
  return stored.decoder == nullptr && stored.dtype == dtype;
}

// Rows [begin, begin + count) of `stored`, by way of floats, a few rows at a time.
void convert(const StoredTensor& stored, std::int64_t begin, std::int64_t count, DType dtype,
             std::byte* target) {
  constexpr std::int64_t kFloats = 1 << 14;  // fits the second-level cache
  const std::int64_t width = row_elements(stored);
  const std::int64_t step =
      std::clamp<std::int64_t>(std::max(kFloats / width, rows_together(stored)), 1, count);
  std::vector<float> rows(static_cast<std::size_t>(step * width));
  for (std::int64_t done = 0; done < count; done += step) {
    const std::int64_t size = std::min(step, count - done);
    read_rows(stored, begin + done, size, rows.data());
    const auto at = static_cast<std::size_t>(done * width);
    convert_from_float(rows.data(), dtype, target + at * size_of(dtype),
                       static_cast<std::size_t>(size * width));
  }
}

}  // namespace

StoredRows::StoredRows(std::span<const StoredTensor> blocks, DType dtype)
    : blocks_(blocks), dtype_(dtype), width_(row_elements(blocks[0])) {
  for (const StoredTensor& block : blocks) {
    assert(row_elements(block) == width_);
    check_numbers(block);
    count_ += block.shape[0];
    plain_ = plain_ && is_plain(block, dtype);
  }
}

const std::byte* StoredRows::stored(std::int64_t index) const {
  assert(plain_ && index >= 0 && index < count_);
  auto block = blocks_.begin();
  for (; index >= block->shape[0]; ++block)
    index -= block->shape[0];
  return block->bytes.data() + index * row_bytes();
}

void StoredRows::read(std::int64_t begin, std::int64_t count, std::byte* target) const {
  assert(begin >= 0 && begin + count <= count_);
  for (const StoredTensor& block : blocks_) {
    const std::int64_t rows = block.shape[0];
    const std::int64_t size = std::min(count, rows - begin);
    if (size > 0) {
      if (is_plain(block, dtype_)) {
        std::memcpy(target, block.bytes.data() + begin * row_bytes(),
                    static_cast<std::size_t>(size * row_bytes()));
      } else if (width_ > 0) {
        convert(block, begin, size, dtype_, target);
      }
      target += size * row_bytes();
      count -= size;
      begin += size;
    }
    begin -= rows;
  }
}

Tensor StoredRows::gather(MemoryPool& pool, const Shape& shape) const {
  if (plain_ && blocks_.size() == 1)
    return {std::make_shared<MappedStorage>(blocks_[0]), dtype_, shape};
  const Tensor gathered = pool.tensor(shape, dtype_);
  parallel_for(count_, grain_for(width_), [&](std::int64_t begin, std::int64_t end) {
    read(begin, end - begin, gathered.bytes() + begin * row_bytes());
  });
  return gathered;
}

}  // namespace flux2
