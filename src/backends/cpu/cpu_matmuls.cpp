#include <cassert>

#include "backends/cpu/cpu_backend.h"

namespace flux2 {
namespace {

Tensor as_matrix(const Tensor& x) {
  return x.view({x.elements() / x.dim(-1), x.dim(-1)});
}

// Whether all dimensions but the last are evenly spaced rows.
bool is_matrix(const Tensor& x) {
  std::int64_t expected = 0;
  for (int axis = x.rank() - 2; axis >= 0; --axis) {
    if (x.dim(axis) == 1) continue;
    if (expected != 0 && x.stride(axis) != expected) return false;
    expected = x.stride(axis) * x.dim(axis);
  }
  return true;
}

MatmulCall call_for(const Tensor& x, const PackedLinear& weight, const Tensor& out) {
  return {.weight = weight,
          .src = x.bytes(),
          .dst = out.bytes(),
          .rows = x.dim(0),
          .src_stride = x.stride(0),
          .dst_stride = out.stride(0),
          .dst_dtype = out.dtype()};
}

}  // namespace

Tensor CpuOps::multiply_few(const Tensor& x, const PackedLinear& weight) {
  Tensor product = few_rows_(dense(x, weight.dtype), weight);
  if (!weight.bias.defined()) return product;
  const Tensor bias = weight.bias.view({1, 1, weight.out});
  for (std::int64_t row = 0; row < x.dim(0); ++row) {
    const Tensor target = product.slice(0, row, 1);
    add_gated(bias, {}, target.view({1, 1, weight.out}));
  }
  return product;
}

void CpuOps::multiply(const Tensor& x, const PackedLinear& weight, const Tensor& out) {
  if (few_rows_.suits(weight, x.dim(0))) return copy(multiply_few(x, weight), out);
  const Tensor operand = x.dtype() == weight.dtype ? x : dense(x, weight.dtype);
  if (tiles_.suits(weight)) return tiles_(call_for(operand, weight, out));
  if (dnnl_.try_matmul(call_for(operand, weight, out))) return;
  // oneDNN's fast matmuls may want dense rows: a copy costs a few percent of the product.
  const Tensor source = dense(operand, weight.dtype);
  const Tensor target = out.is_dense() ? out : pool_->tensor(out.shape(), out.dtype());
  dnnl_.matmul(call_for(source, weight, target));
  if (!out.is_dense()) copy(target, out);
}

void CpuOps::linear(const Tensor& x, const Weight& weight, const Tensor& out) {
  assert(x.dim(-1) == weight.in_features() && out.dim(-1) == weight.out_features());
  assert(x.elements() / x.dim(-1) == out.elements() / out.dim(-1));
  if (x.elements() == 0) return;
  if (const auto* int8 = weight.prepared_as<Int8Weight>()) {
    return int8_({.weight = *int8, .x = x, .out = out});
  }
  const auto& packed = weight.prepared<PackedLinear>();
  if (is_matrix(x) && is_matrix(out)) return multiply(as_matrix(x), packed, as_matrix(out));
  for (std::int64_t i = 0; i < x.dim(0); ++i)
    linear(x[i], weight, out[i]);
}

// One sample: the gate is then one row, which oneDNN can multiply with before it adds.
bool CpuOps::multiply_fused(const Tensor& x, const PackedLinear& weight, const Tensor& gate,
                            const Tensor& residual) {
  MatmulCall call = call_for(x, weight, residual);
  call.epilogue = gate.defined() ? Epilogue::add_gated : Epilogue::add;
  call.gate = gate.defined() ? gate.f32() : nullptr;
  if (!tiles_.suits(weight)) return dnnl_.try_matmul(call);
  tiles_(call);
  return true;
}

void CpuOps::linear_add_gated(const Tensor& x, const Weight& weight, const Tensor& gate,
                              const Tensor& residual) {
  assert(x.rank() == 3 && residual.rank() == 3 && x.dim(1) == residual.dim(1));
  const Tensor gates = parameter(gate);
  if (const auto* int8 = weight.prepared_as<Int8Weight>()) {
    if (residual.dtype() != DType::f32) {
      return Ops::linear_add_gated(x, weight, gate, residual);
    }
    return int8_({.weight = *int8,
                  .x = x,
                  .out = residual,
                  .epilogue = gate.defined() ? Epilogue::add_gated : Epilogue::add,
                  .gates = gate.defined() ? gates.f32() : nullptr,
                  .rows_of_gate = x.dim(1)});
  }
  const auto& packed = weight.prepared<PackedLinear>();
  for (std::int64_t b = 0; b < x.dim(0); ++b) {
    const Tensor sample = dense(x[b], packed.dtype);
    const Tensor row = gate.defined() ? gates.slice(0, b, 1) : Tensor();
    if (few_rows_.suits(packed, x.dim(1))) {
      const Tensor product = multiply_few(sample, packed);
      add_gated(product.view({1, x.dim(1), packed.out}), row, residual.slice(0, b, 1));
      continue;
    }
    const bool fused =
        residual.dtype() == DType::f32 && multiply_fused(sample, packed, row, residual[b]);
    if (fused) continue;
    const Tensor target = residual.slice(0, b, 1);
    Ops::linear_add_gated(sample.view({1, x.dim(1), x.dim(2)}), weight, row, target);
  }
}

void CpuOps::attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask,
                       const Tensor& out) {
  attention_(q, k, v, mask, out);
}

void CpuOps::conv2d(const Tensor& x, const Weight& weight, const ConvGeometry& geometry,
                    const Tensor& out) {
  const auto& packed = weight.prepared<PackedConv>();
  const Tensor source = dense(x, packed.dtype);
  const Tensor target = out.is_dense() ? out : pool_->tensor(out.shape(), out.dtype());
  dnnl_.convolution({.weight = packed, .src = source, .dst = target, .geometry = geometry});
  if (!out.is_dense()) copy(target, out);
}

void CpuOps::conv2d_add(const Tensor& x, const Weight& weight, const ConvGeometry& geometry,
                        const Tensor& residual) {
  const auto& packed = weight.prepared<PackedConv>();
  const Tensor source = dense(x, packed.dtype);
  const ConvCall call = {.weight = packed,
                         .src = source,
                         .dst = residual,
                         .geometry = geometry,
                         .epilogue = Epilogue::add};
  const bool fits = residual.dtype() == DType::f32 && residual.is_dense();
  if (fits && dnnl_.try_convolution(call)) return;
  Ops::conv2d_add(source, weight, geometry, residual);
}

}  // namespace flux2
