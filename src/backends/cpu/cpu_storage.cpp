#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <vector>

#include "backends/cpu/cpu_backend.h"
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

// Elements [begin, begin + count) of plainly stored `stored` as `dtype`, by way of floats.
void convert(const StoredTensor& stored, std::int64_t begin, std::int64_t count, DType dtype,
             std::byte* target) {
  constexpr std::int64_t kChunk = 1024;
  float values[kChunk];
  const std::byte* source = stored.bytes.data();
  for (std::int64_t done = 0; done < count; done += kChunk) {
    const auto at = static_cast<std::size_t>(begin + done);
    const auto size = static_cast<std::size_t>(std::min(kChunk, count - done));
    convert_to_float(stored.dtype, source + at * size_of(stored.dtype), values, size);
    convert_from_float(values, dtype, target + at * size_of(dtype), size);
  }
}

// Rows [begin, begin + count) of `stored` as `dtype`, by way of floats, a few rows at a time.
void decode(const StoredTensor& stored, std::int64_t begin, std::int64_t count, DType dtype,
            std::byte* target) {
  constexpr std::int64_t kFloats = 1 << 14;  // fits the second-level cache
  const std::int64_t width = row_elements(stored);
  const std::int64_t step = std::max<std::int64_t>(1, kFloats / width);
  std::vector<float> rows(static_cast<std::size_t>(step * width));
  for (std::int64_t done = 0; done < count; done += step) {
    const std::int64_t size = std::min(step, count - done);
    read_rows(stored, begin + done, size, rows.data());
    const auto at = static_cast<std::size_t>((begin + done) * width);
    convert_from_float(rows.data(), dtype, target + at * size_of(dtype),
                       static_cast<std::size_t>(size * width));
  }
}

}  // namespace

CpuOps::CpuOps(ComputeType compute, Isa isa)
    : compute_dtype_(compute == ComputeType::bf16 ? DType::bf16 : DType::f32),
      name_(fmt::format("cpu {} {}", compute == ComputeType::bf16 ? "bf16" : "f32", name_of(isa))),
      kernels_(isa == Isa::avx2 ? kernels_avx2() : kernels_avx512()),
      pool_(MemoryPool::make()),
      dnnl_(pool_),
      few_rows_(isa, pool_),
      attention_(isa) {
  if (!dnnl_.computes_in(compute_dtype_)) {
    throw Error(ErrorCode::invalid_request, "this processor cannot compute in bf16", "",
                "compute in f32");
  }
}

std::unique_ptr<Ops> make_cpu_ops(const CpuOptions& options) {
  const Isa best = best_isa();
  return std::make_unique<CpuOps>(options.compute, std::min(best, options.most.value_or(best)));
}

Tensor CpuOps::empty(const Shape& shape, Role role) {
  return pool_->tensor(shape, role == Role::operand ? compute_dtype_ : DType::f32);
}

Tensor CpuOps::upload(const Tensor& host, Role role) {
  Tensor result = empty(host.shape(), role);
  copy(host, result);
  return result;
}

Tensor CpuOps::download(const Tensor& device) {
  Tensor result = make_host_tensor(device.shape());
  copy(device, result);
  return result;
}

void CpuOps::trim() {
  attention_.trim();
  pool_->trim();
}

Tensor CpuOps::dense(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype && x.is_dense()) return x;
  Tensor result = pool_->tensor(x.shape(), dtype);
  copy(x, result);
  return result;
}

Tensor CpuOps::gather(std::span<const StoredTensor> row_blocks, const Shape& shape) {
  for (const StoredTensor& block : row_blocks)
    check_numbers(block);
  const StoredTensor& first = row_blocks[0];
  if (row_blocks.size() == 1 && first.dtype == compute_dtype_ && !first.decoder)
    return {std::make_shared<MappedStorage>(first), compute_dtype_, shape};
  Tensor gathered = pool_->tensor(shape, compute_dtype_);
  std::byte* target = gathered.bytes();
  for (const StoredTensor& block : row_blocks) {
    if (block.decoder) {
      const std::int64_t grain = std::max<std::int64_t>(1, kGrainElements / row_elements(block));
      parallel_for(block.shape[0], grain, [&](std::int64_t begin, std::int64_t end) {
        decode(block, begin, end - begin, compute_dtype_, target);
      });
    } else {
      parallel_for(block.shape.elements(), kGrainElements,
                   [&](std::int64_t begin, std::int64_t end) {
                     convert(block, begin, end - begin, compute_dtype_, target);
                   });
    }
    target += bytes_for(block.shape, compute_dtype_);
  }
  return gathered;
}

Weight CpuOps::prepare_linear(std::span<const StoredTensor> row_blocks, const Tensor& bias) {
  assert(!row_blocks.empty());
  Shape shape = row_blocks[0].shape;
  std::int64_t out = 0;
  for (const StoredTensor& block : row_blocks) {
    assert(block.shape.rank() == 2 && block.shape[1] == shape[1]);
    out += block.shape[0];
  }
  shape.set(0, out);
  const Tensor rows = gather(row_blocks, shape);
  auto packed = dnnl_.pack_linear(rows.bytes(), compute_dtype_, shape);
  if (bias.defined()) packed->bias = upload(bias, Role::stream);
  return {shape, packed};
}

Weight CpuOps::prepare_conv2d(const StoredTensor& kernel, const Tensor& bias) {
  assert(kernel.shape.rank() == 4);
  const Tensor values = gather({&kernel, 1}, kernel.shape);
  auto packed = dnnl_.pack_conv(values.bytes(), compute_dtype_, kernel.shape);
  if (bias.defined()) packed->bias = upload(bias, Role::stream);
  return {kernel.shape, packed};
}

Weight CpuOps::prepare_embedding(const StoredTensor& table) {
  assert(table.shape.rank() == 2);
  check_numbers(table);
  auto prepared = std::make_shared<CpuTable>();
  prepared->stored = table;
  return {table.shape, prepared};
}

}  // namespace flux2
