#include "checkpoint/row_views.h"

#include <algorithm>
#include <cassert>
#include <optional>
#include <utility>

namespace flux2 {
namespace {

std::int64_t rows_of(const StoredTensor& tensor) {
  return tensor.shape.rank() == 0 ? 1 : tensor.shape[0];
}

Shape with_rows(Shape shape, std::int64_t rows) {
  shape.set(0, rows);
  return shape;
}

// Rows that begin at another place of one other tensor.
class RangeOfRows : public RowDecoder {
 public:
  RangeOfRows(StoredTensor parent, std::int64_t begin, std::int64_t count)
      : parent_(std::move(parent)), begin_(begin) {
    const Int8Rows* whole = parent_.decoder->int8_rows();
    if (whole == nullptr) return;
    const auto first = static_cast<std::size_t>(begin);
    const auto rows = static_cast<std::size_t>(count);
    const auto width = static_cast<std::size_t>(row_elements(parent_));
    int8_rows_ = {whole->values.subspan(first * width, rows * width),
                  whole->scales.subspan(first, rows)};
  }

  std::string_view name() const override { return encoding_of(parent_); }
  void decode(const StoredTensor&, std::int64_t begin, std::int64_t count,
              float* rows) const override {
    read_rows(parent_, begin_ + begin, count, rows);
  }
  const Int8Rows* int8_rows() const override {
    return int8_rows_.scales.empty() ? nullptr : &int8_rows_;
  }
  std::optional<ScaleRange> scales(const StoredTensor&) const override {
    return parent_.decoder->scales(parent_);
  }

 private:
  StoredTensor parent_;
  std::int64_t begin_;
  Int8Rows int8_rows_{};
};

class ReorderedRows : public RowDecoder {
 public:
  ReorderedRows(StoredTensor parent, const RowOrder& order)
      : parent_(std::move(parent)), order_(order) {}

  std::string_view name() const override { return encoding_of(parent_); }
  std::optional<ScaleRange> scales(const StoredTensor&) const override {
    if (parent_.decoder == nullptr) return std::nullopt;
    return parent_.decoder->scales(parent_);
  }
  void decode(const StoredTensor&, std::int64_t begin, std::int64_t count,
              float* rows) const override {
    const std::int64_t width = row_elements(parent_);
    for (std::int64_t done = 0; done < count;) {
      const auto [source, run] = source_of(begin + done);
      const std::int64_t taken = std::min(run, count - done);
      read_rows(parent_, source, taken, rows + done * width);
      done += taken;
    }
  }

 private:
  struct Run {
    std::int64_t source;
    std::int64_t rows;  // that follow one another from there on
  };

  Run source_of(std::int64_t row) const {
    const std::int64_t half = rows_of(parent_) / 2;
    if (order_.kind == RowOrder::Kind::swapped_halves) {
      return row < half ? Run{row + half, half - row} : Run{row - half, 2 * half - row};
    }
    const std::int64_t head = row / order_.head_dim;
    const std::int64_t within = row % order_.head_dim;
    const std::int64_t half_head = order_.head_dim / 2;
    const std::int64_t source = order_.kind == RowOrder::Kind::pairs_to_halves
                                    ? 2 * (within % half_head) + within / half_head
                                    : within / 2 + half_head * (within % 2);
    return {head * order_.head_dim + source, 1};
  }

  StoredTensor parent_;
  RowOrder order_;
};

class JoinedRows : public RowDecoder {
 public:
  explicit JoinedRows(std::vector<StoredTensor> parts) : parts_(std::move(parts)) {}

  std::string_view name() const override { return encoding_of(parts_.front()); }
  void decode(const StoredTensor&, std::int64_t begin, std::int64_t count,
              float* rows) const override {
    const std::int64_t width = row_elements(parts_.front());
    for (const StoredTensor& part : parts_) {
      const std::int64_t taken = std::clamp<std::int64_t>(rows_of(part) - begin, 0, count);
      if (taken > 0) read_rows(part, begin, taken, rows);
      rows += taken * width;
      count -= taken;
      begin = std::max<std::int64_t>(0, begin - rows_of(part));
    }
  }

 private:
  std::vector<StoredTensor> parts_;
};

}  // namespace

StoredTensor row_range(const StoredTensor& parent, std::int64_t begin, std::int64_t count,
                       std::string name) {
  const std::int64_t rows = rows_of(parent);
  assert(begin >= 0 && count >= 0 && begin + count <= rows);
  StoredTensor part = parent;
  part.name = std::move(name);
  part.shape = with_rows(parent.shape, count);
  // Encoded rows take equal room too; what lies outside them (scales) stays with the parent.
  const std::size_t row_bytes =
      rows == 0 ? 0 : parent.bytes.size() / static_cast<std::size_t>(rows);
  part.bytes = parent.bytes.subspan(static_cast<std::size_t>(begin) * row_bytes,
                                    static_cast<std::size_t>(count) * row_bytes);
  if (parent.decoder != nullptr) {
    part.decoder = std::make_shared<RangeOfRows>(parent, begin, count);
  }
  return part;
}

StoredTensor reordered_rows(const StoredTensor& parent, const RowOrder& order, std::string name) {
  assert(rows_of(parent) % 2 == 0);
  assert(order.kind == RowOrder::Kind::swapped_halves ||
         (order.head_dim >= 2 && order.head_dim % 2 == 0 && rows_of(parent) % order.head_dim == 0));
  StoredTensor result = parent;
  result.name = std::move(name);
  result.decoder = std::make_shared<ReorderedRows>(parent, order);
  return result;
}

StoredTensor joined_rows(std::vector<StoredTensor> parts, std::string name) {
  assert(!parts.empty());
  StoredTensor result = parts.front();
  if (parts.size() == 1) {
    result.name = std::move(name);
    return result;
  }
  std::int64_t rows = 0;
  for (const StoredTensor& part : parts) {
    assert(row_elements(part) == row_elements(parts.front()));
    rows += rows_of(part);
  }
  result.name = std::move(name);
  result.shape = with_rows(parts.front().shape, rows);
  result.bytes = {};
  result.decoder = std::make_shared<JoinedRows>(std::move(parts));
  return result;
}

}  // namespace flux2
