#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <vector>

#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/rows.h"
#include "backends/cpu/stored_rows.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

std::string_view name_of(ComputeType compute) {
  switch (compute) {
    case ComputeType::f32:
      return "f32";
    case ComputeType::bf16:
      return "bf16";
    case ComputeType::int8:
      break;
  }
  return "int8";
}

}  // namespace

DType operand_type(ComputeType compute, Isa isa) {
  const bool bf16 =
      compute == ComputeType::bf16 || (compute == ComputeType::int8 && isa >= Isa::avx512_bf16);
  return bf16 ? DType::bf16 : DType::f32;
}

CpuOps::CpuOps(ComputeType compute, Isa isa, StoredIntegers integers)
    : compute_(compute),
      integers_(integers),
      compute_dtype_(operand_type(compute, isa)),
      name_(fmt::format("cpu {} {}", name_of(compute), flux2::name_of(isa))),
      kernels_(isa == Isa::avx2 ? kernels_avx2() : kernels_avx512()),
      pool_(MemoryPool::make()),
      dnnl_(pool_),
      few_rows_(isa, pool_),
      tiles_(isa, pool_),
      int8_(isa, pool_),
      attention_(isa) {
  if (!dnnl_.computes_in(compute_dtype_)) {
    throw Error(ErrorCode::invalid_request, "this processor cannot compute in bf16", "",
                "compute in f32");
  }
}

std::unique_ptr<Ops> make_cpu_ops(const CpuOptions& options) {
  const Isa best = best_isa();
  return std::make_unique<CpuOps>(options.compute, std::min(best, options.most.value_or(best)),
                                  options.integers);
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

DType linear_type_of(std::span<const StoredTensor> row_blocks, Sensitivity sensitivity,
                     const CpuOptions& options, DType operand) {
  const auto integers = [](const StoredTensor& block) {
    return block.decoder != nullptr && block.decoder->int8_rows() != nullptr;
  };
  if (row_blocks.empty() || sensitivity != Sensitivity::tolerant ||
      !Int8Linear::fits(row_elements(row_blocks.front()))) {
    return operand;
  }
  const bool kept = options.integers == StoredIntegers::kept &&
                    std::all_of(row_blocks.begin(), row_blocks.end(), integers);
  return kept || options.compute == ComputeType::int8 ? DType::i8 : operand;
}

DType CpuOps::linear_type(std::span<const StoredTensor> row_blocks, Sensitivity sensitivity) const {
  return linear_type_of(row_blocks, sensitivity,
                        {.compute = compute_, .most = {}, .integers = integers_}, compute_dtype_);
}

Weight CpuOps::prepare_linear(std::span<const StoredTensor> row_blocks, const Tensor& bias,
                              Sensitivity sensitivity) {
  assert(!row_blocks.empty());
  const StoredRows rows(row_blocks, compute_dtype_);
  const Shape shape = {rows.count(), rows.width()};
  if (linear_type(row_blocks, sensitivity) == DType::i8) {
    auto packed = int8_.pack(row_blocks);
    if (bias.defined()) packed->bias = upload(bias, Role::stream);
    return {shape, packed};
  }
  auto packed = dnnl_.pack_linear(rows);
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
