#include "backends/cpu/int8_linear.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <numeric>
#include <utility>
#include <vector>

#include "backends/cpu/rows.h"
#include "base/rounding.h"

namespace flux2 {
namespace {

// Rows that meet a panel before it leaves the cache; a multiple of every tile.
constexpr std::int64_t kChunkRows = 192;

// Rows of weights [columns][padded inputs] become one panel: groups of all columns side by side.
void interleave(const std::int8_t* rows, std::int64_t stride, std::int64_t columns,
                std::int64_t groups, std::int8_t* panel) {
  for (std::int64_t group = 0; group < groups; ++group) {
    for (std::int64_t c = 0; c < columns; ++c, panel += kInt8Group)
      std::memcpy(panel, rows + c * stride + group * kInt8Group, kInt8Group);
  }
}

// Bytes from row to row: an odd number of cache lines, since rows that were a multiple of 4 KiB
// apart would evict each other.
constexpr std::int64_t stride_for(std::int64_t bytes) {
  constexpr std::int64_t kLine = 64;
  return (ceil_divide(bytes, kLine) | 1) * kLine;
}

}  // namespace

/// The rows of x, quantised.
class Int8Linear::Operands {
 public:
  Operands(std::int64_t rows, std::int64_t in, int operand_bytes, MemoryPool& pool)
      : rows_(rows), stride_(stride_for(in * operand_bytes)) {
    bytes_ = pool.allocate(static_cast<std::size_t>(rows * stride_));
    scales_ = pool.tensor({rows}, DType::f32);
  }

  std::int64_t rows() const { return rows_; }
  std::int64_t stride() const { return stride_; }
  std::byte* row(std::int64_t i) const {
    return static_cast<std::byte*>(bytes_->data) + i * stride_;
  }
  float& scale(std::int64_t i) const { return scales_.f32()[i]; }

 private:
  std::int64_t rows_;
  std::int64_t stride_;
  std::shared_ptr<Storage> bytes_;
  Tensor scales_;
};

Int8Linear::Int8Linear(Isa isa, std::shared_ptr<MemoryPool> pool)
    : kernels_(int8_kernels(isa)), pool_(std::move(pool)) {}

std::size_t Int8Linear::panel_bytes(std::int64_t out, std::int64_t in) const {
  return static_cast<std::size_t>(round_up(out, kernels_.columns) * round_up(in, kInt8Group));
}

std::size_t Int8Linear::operand_bytes(std::int64_t rows, std::int64_t in) const {
  const std::int64_t padded = round_up(in, kInt8OperandPadding);
  return static_cast<std::size_t>(rows * stride_for(padded * kernels_.operand_bytes));
}

std::shared_ptr<Int8Weight> Int8Linear::pack(std::span<const StoredTensor> row_blocks) {
  const Int8Quantizer quantizer(kernels_, row_blocks);
  const std::int64_t columns = kernels_.columns;
  const std::int64_t panels = ceil_divide(quantizer.out(), columns);
  const std::int64_t groups = ceil_divide(quantizer.in(), kInt8Group);
  const std::int64_t panel_bytes = columns * groups * kInt8Group;
  auto weight = std::make_shared<Int8Weight>();
  weight->in = quantizer.in();
  weight->out = quantizer.out();
  weight->rotation = quantizer.rotation();
  weight->panels = pool_->allocate(this->panel_bytes(weight->out, weight->in));
  weight->scales = pool_->tensor({panels * columns}, DType::f32);
  weight->start = pool_->tensor({panels * columns}, DType::i32);
  auto* bytes = static_cast<std::int8_t*>(weight->panels->data);
  float* scales = weight->scales.f32();
  auto* start = weight->start.data<std::int32_t>();
  parallel_for(panels, 1, [&](std::int64_t begin, std::int64_t end) {
    Int8Quantizer::Scratch scratch(quantizer);
    const std::int64_t stride = stride_for(quantizer.in());
    std::vector<std::int8_t> rows(static_cast<std::size_t>(columns * stride));
    for (std::int64_t panel = begin; panel < end; ++panel) {
      for (std::int64_t c = 0; c < columns; ++c) {
        const std::int64_t o = panel * columns + c;
        std::int8_t* row = rows.data() + c * stride;
        if (o < weight->out) {
          scales[o] = quantizer.quantize(o, scratch, row);
        } else {
          std::fill_n(row, stride, std::int8_t{0});
          scales[o] = 0;
        }
        start[o] = -kernels_.operand_offset * std::accumulate(row, row + weight->in, 0);
      }
      interleave(rows.data(), stride, columns, groups, bytes + panel * panel_bytes);
    }
  });
  return weight;
}

Int8Linear::Operands Int8Linear::quantize(const Int8Call& call) {
  const Rows source(call.x);
  const std::int64_t in = call.weight.in;
  const bool rotates = call.weight.rotation != Rotation::none;
  Operands operands(source.count(), round_up(in, kInt8OperandPadding), kernels_.operand_bytes,
                    *pool_);
  const auto quantize_row = pick(kernels_.quantize_operand, call.x);
  for_rows(source, [&](std::int64_t i) {
    thread_local std::vector<float> rotated;
    if (rotates) rotated.resize(static_cast<std::size_t>(in));
    operands.scale(i) = quantize_row({.x = source[i],
                                      .width = in,
                                      .rotated = rotates ? rotated.data() : nullptr,
                                      .out = operands.row(i)});
  });
  return operands;
}

namespace {

// The product of a chunk of rows with one panel, in integers.
class ChunkSums {
 public:
  explicit ChunkSums(const Int8Kernels& kernels) : kernels_(kernels) {}

  void multiply(const Int8Weight& weight, std::int64_t panel, const std::byte* x,
                std::int64_t x_stride, std::int64_t rows) {
    const std::int64_t columns = kernels_.columns;
    const std::int64_t groups = ceil_divide(weight.in, kInt8Group);
    const auto* weights = static_cast<const std::int8_t*>(weight.panels->data) +
                          panel * columns * groups * kInt8Group;
    const std::int32_t* start = weight.start.data<std::int32_t>() + panel * columns;
    for (std::int64_t r = 0; r < rows; ++r)
      std::copy_n(start, columns, row(r));
    for (std::int64_t group = 0; group < groups; group += kernels_.depth_groups) {
      for (std::int64_t r = 0; r < rows; r += kernels_.rows) {
        kernels_.multiply(
            {.rows = static_cast<int>(std::min<std::int64_t>(kernels_.rows, rows - r)),
             .groups = std::min(kernels_.depth_groups, groups - group),
             .x = x + r * x_stride + group * kInt8Group * kernels_.operand_bytes,
             .x_stride = x_stride,
             .panel = weights + group * columns * kInt8Group,
             .sums = row(r)});
      }
    }
  }

  std::int32_t* row(std::int64_t r) { return sums_ + r * kernels_.columns; }

 private:
  const Int8Kernels& kernels_;
  alignas(64) std::int32_t sums_[kChunkRows * kInt8MostColumns];
};

}  // namespace

void Int8Linear::operator()(const Int8Call& call) {
  const Int8Weight& weight = call.weight;
  const Operands operands = quantize(call);
  const Rows target(call.out);
  assert(target.count() == operands.rows() && target.width() == weight.out);
  assert(call.epilogue == Epilogue::store || call.out.dtype() == DType::f32);
  const auto element = static_cast<std::int64_t>(size_of(call.out.dtype()));
  const auto finish =
      call.epilogue == Epilogue::store ? pick(kernels_.store, call.out) : kernels_.add;
  const std::int64_t columns = kernels_.columns;
  const std::int64_t panels = ceil_divide(weight.out, columns);
  const std::int64_t chunks = ceil_divide(operands.rows(), kChunkRows);
  // All chunks of a panel, then the next panel: it is read from memory once.
  parallel_for(panels * chunks, 1, [&](std::int64_t begin, std::int64_t end) {
    ChunkSums sums(kernels_);
    for (std::int64_t task = begin; task < end; ++task) {
      const std::int64_t panel = task / chunks, o = panel * columns;
      const std::int64_t first = task % chunks * kChunkRows;
      const std::int64_t rows = std::min(kChunkRows, operands.rows() - first);
      sums.multiply(weight, panel, operands.row(first), operands.stride(), rows);
      for (std::int64_t r = 0; r < rows; ++r) {
        const std::int64_t i = first + r;
        finish({.sums = sums.row(r),
                .scales = weight.scales.f32() + o,
                .bias = weight.bias.defined() ? weight.bias.f32() + o : nullptr,
                .gate = call.gates == nullptr ? nullptr
                                              : call.gates + i / call.rows_of_gate * weight.out + o,
                .row_scale = operands.scale(i),
                .out = target[i] + o * element,
                .count = std::min(columns, weight.out - o)});
      }
    }
  });
}

}  // namespace flux2
