#include "backends/cpu/few_rows.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "backends/cpu/few_rows_kernels.h"
#include "backends/cpu/rows.h"

namespace flux2 {
namespace {

static_assert(kMostFewRows % kFewRows == 0);

MultiplyFewRows kernel_for(Isa isa, DType dtype) {
  if (dtype == DType::f32 && isa >= Isa::avx512) return multiply_few_rows_avx512;
  if (dtype == DType::bf16 && isa >= Isa::avx512_bf16) return multiply_few_rows_avx512_bf16;
  return nullptr;
}

std::int64_t elements_in_word(DType dtype) {
  return 4 / static_cast<std::int64_t>(size_of(dtype));
}

// Rows of x as words, zeros behind what the weights are padded to.
Tensor padded_rows(const Tensor& x, std::int64_t padded_in, MemoryPool& pool) {
  if (x.dim(1) == padded_in) return x;
  Tensor padded = pool.tensor({x.dim(0), padded_in}, x.dtype());
  const std::size_t row = static_cast<std::size_t>(x.dim(1)) * size_of(x.dtype());
  const std::size_t all = static_cast<std::size_t>(padded_in) * size_of(x.dtype());
  for (std::int64_t i = 0; i < x.dim(0); ++i) {
    std::byte* target = padded[i].bytes();
    std::memcpy(target, x[i].bytes(), row);
    std::memset(target + row, 0, all - row);
  }
  return padded;
}

}  // namespace

bool FewRowsLinear::suits(const PackedLinear& weight, std::int64_t rows) const {
  if (rows > kMostFewRows || !weight.streamed || !kernel_for(isa_, weight.dtype)) return false;
  const StreamedLayout& layout = *weight.streamed;
  return layout.word_elements == elements_in_word(weight.dtype) &&
         layout.outputs % kFewRowsLanes == 0 && layout.outputs <= kFewRowsOutputs;
}

Tensor FewRowsLinear::operator()(const Tensor& x, const PackedLinear& weight) const {
  assert(x.dtype() == weight.dtype && x.is_dense() && suits(weight, x.dim(0)));
  const StreamedLayout& layout = *weight.streamed;
  const MultiplyFewRows multiply = kernel_for(isa_, weight.dtype);
  const std::int64_t rows = x.dim(0), blocks = layout.padded_out / layout.outputs;
  const std::int64_t words = layout.padded_in / layout.word_elements;
  const Tensor source = padded_rows(x, layout.padded_in, *pool_);
  const Tensor sums = pool_->tensor({rows, layout.padded_out}, DType::f32);
  const auto words_at = [](const std::byte* bytes) {
    return static_cast<const std::uint32_t*>(static_cast<const void*>(bytes));
  };
  const std::uint32_t* weights = words_at(static_cast<const std::byte*>(weight.storage->data));
  parallel_for(blocks, grain_for(layout.outputs * words),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) {
                   // More rows than a kernel takes: the block is in the cache when the others come.
                   for (std::int64_t row = 0; row < rows; row += kFewRows) {
                     multiply({.weights = weights + i * words * layout.outputs,
                               .outputs = layout.outputs,
                               .words = words,
                               .x = words_at(source.bytes()) + row * words,
                               .rows = std::min(kFewRows, rows - row),
                               .out = sums.f32() + row * layout.padded_out + i * layout.outputs,
                               .out_stride = layout.padded_out});
                   }
                 }
               });
  return sums.slice(1, 0, weight.out);
}

}  // namespace flux2
