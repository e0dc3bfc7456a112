#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <vector>

#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/rows.h"
#include "backends/cpu/stored_rows.h"
#include "flux2/error.h"

namespace flux2 {
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

Weight CpuOps::prepare_linear(std::span<const StoredTensor> row_blocks, const Tensor& bias) {
  assert(!row_blocks.empty());
  Shape shape = row_blocks[0].shape;
  std::int64_t out = 0;
  for (const StoredTensor& block : row_blocks) {
    assert(block.shape.rank() == 2 && block.shape[1] == shape[1]);
    out += block.shape[0];
  }
  shape.set(0, out);
  auto packed = dnnl_.pack_linear(StoredRows(row_blocks, compute_dtype_));
  if (bias.defined()) packed->bias = upload(bias, Role::stream);
  return {shape, packed};
}

Weight CpuOps::prepare_conv2d(const StoredTensor& kernel, const Tensor& bias) {
  assert(kernel.shape.rank() == 4);
  const StoredRows rows({&kernel, 1}, compute_dtype_);
  const Tensor values = rows.gather(*pool_, kernel.shape);
  auto packed = dnnl_.pack_conv(values.bytes(), compute_dtype_, kernel.shape);
  if (bias.defined()) packed->bias = upload(bias, Role::stream);
  return {kernel.shape, packed};
}

Weight CpuOps::prepare_embedding(const StoredTensor& table) {
  assert(table.shape.rank() == 2);
  const StoredRows checked({&table, 1}, compute_dtype_);
  auto prepared = std::make_shared<CpuTable>();
  prepared->stored = table;
  return {table.shape, prepared};
}

}  // namespace flux2
