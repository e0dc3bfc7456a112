#include "backends/cpu/int8_quantizer.h"

#include <algorithm>
#include <cassert>

namespace flux2 {
namespace {

// Rows that the decision to rotate looks at.
constexpr std::int64_t kSampledRows = 64;
// Of the mean squared error: rotating inputs costs time, and near 1 there is nothing to gain.
constexpr double kWorthRotating = 0.5;

const Int8Rows* int8_rows_of(const StoredTensor& stored) {
  return stored.decoder == nullptr ? nullptr : stored.decoder->int8_rows();
}

}  // namespace

const Int8Kernels& int8_kernels(Isa isa) {
  switch (isa) {
    case Isa::avx2:
      return int8_kernels_avx2();
    case Isa::avx512:
      return int8_kernels_avx512();
    case Isa::avx512_vnni:
    case Isa::avx512_bf16:
      return int8_kernels_avx512_vnni();
    case Isa::avx512_amx:
      break;
  }
  return int8_kernels_avx512_amx();
}

Int8Quantizer::Int8Quantizer(const Int8Kernels& kernels, std::span<const StoredTensor> row_blocks)
    : kernels_(kernels), blocks_(row_blocks), in_(row_blocks[0].shape[1]) {
  for (const StoredTensor& block : row_blocks) {
    assert(block.shape.rank() == 2 && block.shape[1] == in_);
    out_ += block.shape[0];
  }
  stored_ = keeps_stored_rows();
  if (stored_) {
    rotation_ = int8_rows_of(blocks_[0])->rotation;
  } else if (in_ % kRotationSize == 0 && is_better_rotated()) {
    rotation_ = Rotation::hadamard;
  }
}

// All blocks must be turned the same way, since they share their inputs.
bool Int8Quantizer::keeps_stored_rows() const {
  return std::all_of(blocks_.begin(), blocks_.end(), [this](const StoredTensor& block) {
    const Int8Rows* rows = int8_rows_of(block);
    return rows != nullptr && rows->rotation == int8_rows_of(blocks_[0])->rotation;
  });
}

// The error of a number is uniform in half a step to both sides: its mean square goes with the
// square of the row's scale.
bool Int8Quantizer::is_better_rotated() const {
  Scratch scratch(*this);
  std::vector<std::int8_t> bytes(static_cast<std::size_t>(in_ + kInt8OperandPadding));
  const std::int64_t samples = std::min(kSampledRows, out_);
  double plain = 0, rotated = 0;
  for (std::int64_t i = 0; i < samples; ++i) {
    const std::int64_t row = i * out_ / samples;
    const float* values = row_of(place_of(row), 1, scratch);
    const double before = quantize(values, Rotation::none, scratch, bytes.data());
    const double after = quantize(values, Rotation::hadamard, scratch, bytes.data());
    plain += before * before;
    rotated += after * after;
  }
  return rotated < kWorthRotating * plain;
}

Int8Quantizer::Place Int8Quantizer::place_of(std::int64_t index) const {
  const StoredTensor* block = blocks_.data();
  for (; index >= block->shape[0]; ++block)
    index -= block->shape[0];
  return {block, index};
}

float Int8Quantizer::quantize(std::int64_t index, Scratch& scratch, std::int8_t* bytes) const {
  const Place place = place_of(index);
  if (!stored_) {
    const float* row = row_of(place, rows_together(*place.block), scratch);
    return quantize(row, rotation_, scratch, bytes);
  }
  const Int8Rows& rows = *int8_rows_of(*place.block);
  const auto width = static_cast<std::size_t>(in_);
  const auto row = static_cast<std::size_t>(place.row);
  std::copy_n(rows.values.begin() + place.row * in_, width, bytes);
  return rows.scales[row];
}

const float* Int8Quantizer::row_of(const Place& place, std::int64_t ahead, Scratch& scratch) const {
  if (scratch.block != place.block || place.row < scratch.begin || place.row >= scratch.end) {
    scratch.block = place.block;
    scratch.begin = place.row;
    scratch.end = std::min(place.row + ahead, place.block->shape[0]);
    const std::int64_t count = scratch.end - scratch.begin;
    scratch.rows.resize(static_cast<std::size_t>(count * in_));
    read_rows(*place.block, place.row, count, scratch.rows.data());
  }
  return scratch.rows.data() + (place.row - scratch.begin) * in_;
}

float Int8Quantizer::quantize(const float* row, Rotation rotation, Scratch& scratch,
                              std::int8_t* bytes) const {
  return kernels_.quantize_weights(
      {.x = row,
       .width = in_,
       .rotated = rotation == Rotation::none ? nullptr : scratch.rotated.data(),
       .out = bytes});
}

}  // namespace flux2
