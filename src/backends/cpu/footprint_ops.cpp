#include "backends/cpu/footprint_ops.h"

#include <algorithm>
#include <utility>

#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/few_rows.h"
#include "backends/cpu/weight_blocks.h"
#include "base/parallel.h"

namespace flux2 {
namespace {

/// A weight of which only the size is known.
struct CountedWeight : PreparedWeight {
  std::shared_ptr<Storage> storage;
  Tensor bias;
  bool int8 = false;
};

struct CountedConv final : CountedWeight {
  /// The four kernels of upsample_conv2d, once it was called.
  mutable std::shared_ptr<Storage> upsampling;
};

Shape stacked_shape(std::span<const StoredTensor> row_blocks) {
  std::int64_t rows = 0;
  for (const StoredTensor& block : row_blocks)
    rows += block.shape[0];
  return {rows, row_elements(row_blocks.front())};
}

}  // namespace

FootprintOps::FootprintOps(const CpuOptions& options)
    : FootprintOps(options, std::min(best_isa(), options.most.value_or(best_isa()))) {}

FootprintOps::FootprintOps(const CpuOptions& options, Isa isa)
    : options_(options),
      newer_matmuls_(isa >= Isa::avx512),
      tiles_(isa >= Isa::avx512_amx && operand_type(options.compute, isa) == DType::bf16),
      operand_type_(operand_type(options.compute, isa)),
      pool_(MemoryPool::make(imaginary_pages())),
      int8_(isa, pool_),
      attention_(isa) {}

std::size_t FootprintOps::take_peak() {
  return pool_->take_peak();
}

Tensor FootprintOps::host(const Shape& shape) {
  return pool_->tensor(shape, DType::f32);
}

Tensor FootprintOps::empty(const Shape& shape, Role role) {
  return pool_->tensor(shape, role == Role::operand ? operand_type_ : DType::f32);
}

Tensor FootprintOps::upload(const Tensor& host, Role role) {
  return empty(host.shape(), role);
}

Tensor FootprintOps::download(const Tensor& device) {
  return host(device.shape());
}

void FootprintOps::trim() {
  attention_scratch_.reset();
  pool_->trim();
}

DType FootprintOps::linear_type(std::span<const StoredTensor> row_blocks,
                                Sensitivity sensitivity) const {
  return linear_type_of(row_blocks, sensitivity, options_, operand_type_);
}

Weight FootprintOps::prepare_linear(std::span<const StoredTensor> row_blocks, const Tensor& bias,
                                    Sensitivity sensitivity) {
  const Shape shape = stacked_shape(row_blocks);
  auto weight = std::make_shared<CountedWeight>();
  weight->int8 = linear_type(row_blocks, sensitivity) == DType::i8;
  const auto element = static_cast<std::int64_t>(size_of(operand_type_));
  const std::size_t bytes =
      weight->int8
          ? int8_.panel_bytes(shape[0], shape[1])
          : static_cast<std::size_t>(weight_blocks::packed_bytes(shape[0], shape[1] * element));
  // Layouts of our own are packed straight from the file; for oneDNN's, rows are gathered first.
  const auto gathered = pool_->allocate(weight->int8 || newer_matmuls_ ? 0 : bytes);
  weight->storage = pool_->allocate(bytes);
  prepared_bytes_ += static_cast<double>(bytes);
  if (bias.defined()) weight->bias = upload(bias, Role::stream);
  return {shape, weight};
}

Weight FootprintOps::prepare_conv2d(const StoredTensor& kernel, const Tensor& bias) {
  auto weight = std::make_shared<CountedConv>();
  const std::size_t bytes = bytes_for(kernel.shape, operand_type_);
  const auto gathered = pool_->allocate(bytes);  // until it is packed
  weight->storage = pool_->allocate(bytes);
  prepared_bytes_ += static_cast<double>(bytes);
  if (bias.defined()) weight->bias = upload(bias, Role::stream);
  return {kernel.shape, weight};
}

Weight FootprintOps::prepare_embedding(const StoredTensor& table) {
  return {table.shape, std::make_shared<CountedWeight>()};
}

std::shared_ptr<Storage> FootprintOps::operand_of(const Tensor& x, const Weight& weight) {
  const std::int64_t rows = x.elements() / x.dim(-1);
  const auto* counted = weight.prepared_as<CountedWeight>();
  if (counted != nullptr && counted->int8) {
    return pool_->allocate(int8_.operand_bytes(rows, x.dim(-1)));
  }
  if (x.dtype() == operand_type_) return nullptr;
  return pool_->allocate(bytes_for(x.shape(), operand_type_));
}

std::shared_ptr<Storage> FootprintOps::scratch_of(const Tensor& x, const Weight& weight) {
  const auto* counted = weight.prepared_as<CountedWeight>();
  const bool int8 = counted != nullptr && counted->int8;
  const std::int64_t rows = x.elements() / x.dim(-1);
  if (!tiles_ || int8 || rows <= kMostFewRows) return nullptr;
  return pool_->allocate(TileLinear::scratch_bytes(rows, weight.out_features()));
}

Tensor FootprintOps::product_of(const Tensor& residual) {
  return newer_matmuls_ ? Tensor() : pool_->tensor(residual.shape(), DType::f32);
}

void FootprintOps::linear(const Tensor& x, const Weight& weight, const Tensor& out) {
  const auto operand = operand_of(x, weight);
  const auto scratch = scratch_of(x, weight);
  if (x.elements() / x.dim(-1) > kMostFewRows) return;
  const auto product = pool_->allocate(bytes_for(out.shape(), DType::f32));
}

void FootprintOps::linear_add_gated(const Tensor& x, const Weight& weight, const Tensor&,
                                    const Tensor& residual) {
  const auto operand = operand_of(x, weight);
  const auto scratch = scratch_of(x, weight);
  const Tensor product = product_of(residual.slice(0, 0, 1));
}

void FootprintOps::attention(const Tensor& q, const Tensor& k, const Tensor& v,
                             const AttentionMask& mask, const Tensor&) {
  const std::size_t bytes = attention_.scratch_bytes_for(q, k, v, mask);
  if (attention_scratch_ && attention_scratch_->bytes >= bytes) return;
  attention_scratch_.reset();
  attention_scratch_ = pool_->allocate(bytes);
}

void FootprintOps::conv2d(const Tensor& x, const Weight& weight, const ConvGeometry&,
                          const Tensor&) {
  const auto operand = operand_of(x, weight);
}

void FootprintOps::conv2d_add(const Tensor& x, const Weight& weight, const ConvGeometry&,
                              const Tensor& residual) {
  const auto operand = operand_of(x, weight);
  const Tensor product = product_of(residual);
}

void FootprintOps::upsample_conv2d(const Tensor& x, const Weight& weight, const Tensor& out) {
  const auto& conv = weight.prepared<CountedConv>();
  const Shape& shape = weight.shape();
  if (!conv.upsampling) {
    const Shape kernels = {4, shape[0], shape[1], 2, 2};
    const auto unpacked = pool_->allocate(bytes_for(shape, DType::f32));
    conv.upsampling = pool_->allocate(bytes_for(kernels, operand_type_));
  }
  const std::int64_t rows = std::min(x.dim(1), upsampling_band_rows(x.dim(2), shape));
  const Tensor band = x.slice(0, 0, 1).slice(1, 0, rows);
  const auto operand = operand_of(band, weight);
  const Tensor part = pool_->tensor({1, rows, x.dim(2), out.dim(3)}, out.dtype());
}

}  // namespace flux2
