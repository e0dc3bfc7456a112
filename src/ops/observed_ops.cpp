#include "ops/observed_ops.h"

#include <algorithm>
#include <initializer_list>

namespace flux2 {
namespace {

double bytes_of(const Tensor& tensor) {
  return static_cast<double>(bytes_for(tensor.shape(), tensor.dtype()));
}

double elements_of(const Weight& weight) {
  return static_cast<double>(weight.shape().elements());
}

std::vector<Tensor> defined(std::initializer_list<Tensor> tensors) {
  std::vector<Tensor> result;
  for (const Tensor& tensor : tensors) {
    if (tensor.defined()) result.push_back(tensor);
  }
  return result;
}

// A call with the bytes of its tensors counted.
OpCall call_of(std::string_view name, std::initializer_list<Tensor> inputs, const Tensor& output) {
  OpCall call{.name = name, .inputs = defined(inputs), .outputs = {output}};
  for (const Tensor& tensor : call.inputs)
    call.bytes += bytes_of(tensor);
  call.bytes += bytes_of(output);
  return call;
}

// Adds what multiplying `x` by `weight` costs: every weight element meets `uses` inputs.
OpCall with_matmul(OpCall call, const Tensor& x, const Weight& weight, std::int64_t uses) {
  call.flops = 2.0 * static_cast<double>(uses) * elements_of(weight);
  call.bytes += elements_of(weight) * static_cast<double>(size_of(x.dtype()));
  return call;
}

std::int64_t pixels_of(const Tensor& picture) {
  return picture.dim(0) * picture.dim(1) * picture.dim(2);
}

// Pairs of a query and a key that it may see, over all samples, of one head.
double visible_pairs(const AttentionMask& mask, const Tensor& q, const Tensor& k) {
  const std::int64_t queries = q.dim(1), keys = k.dim(1);
  double pairs = 0;
  for (std::int64_t b = 0; b < q.dim(0); ++b) {
    const KeyRange range =
        mask.keys.empty() ? KeyRange{0, keys} : mask.keys[static_cast<std::size_t>(b)];
    for (std::int64_t i = 0; i < queries; ++i) {
      const bool causal = mask.causality == Causality::causal;
      const std::int64_t end = causal ? std::min(range.end, i + keys - queries + 1) : range.end;
      pairs += static_cast<double>(std::max<std::int64_t>(0, end - range.begin));
    }
  }
  return pairs;
}

}  // namespace

void ObservedOps::linear(const Tensor& x, const Weight& weight, const Tensor& out) {
  const std::int64_t rows = x.elements() / x.dim(-1);
  observe(with_matmul(call_of("linear", {x}, out), x, weight, rows),
          [&] { inner_.linear(x, weight, out); });
}

void ObservedOps::linear_add_gated(const Tensor& x, const Weight& weight, const Tensor& gate,
                                   const Tensor& residual) {
  const std::int64_t rows = x.elements() / x.dim(-1);
  const OpCall call = call_of("linear_add_gated", {x, gate, residual}, residual);
  observe(with_matmul(call, x, weight, rows),
          [&] { inner_.linear_add_gated(x, weight, gate, residual); });
}

void ObservedOps::attention(const Tensor& q, const Tensor& k, const Tensor& v,
                            const AttentionMask& mask, const Tensor& out) {
  OpCall call = call_of("attention", {q, k, v, mask.bias}, out);
  call.flops = 4.0 * visible_pairs(mask, q, k) * static_cast<double>(q.dim(2) * q.dim(3));
  observe(call, [&] { inner_.attention(q, k, v, mask, out); });
}

void ObservedOps::conv2d(const Tensor& x, const Weight& weight, const ConvGeometry& geometry,
                         const Tensor& out) {
  observe(with_matmul(call_of("conv2d", {x}, out), x, weight, pixels_of(out)),
          [&] { inner_.conv2d(x, weight, geometry, out); });
}

void ObservedOps::conv2d_add(const Tensor& x, const Weight& weight, const ConvGeometry& geometry,
                             const Tensor& residual) {
  const OpCall call = call_of("conv2d_add", {x, residual}, residual);
  observe(with_matmul(call, x, weight, pixels_of(residual)),
          [&] { inner_.conv2d_add(x, weight, geometry, residual); });
}

void ObservedOps::upsample_conv2d(const Tensor& x, const Weight& weight, const Tensor& out) {
  observe(with_matmul(call_of("upsample_conv2d", {x}, out), x, weight, pixels_of(out)),
          [&] { inner_.upsample_conv2d(x, weight, out); });
}

void ObservedOps::adaln(const Tensor& x, const Tensor& scale, const Tensor& shift, float eps,
                        const Tensor& out) {
  observe(call_of("adaln", {x, scale, shift}, out),
          [&] { inner_.adaln(x, scale, shift, eps, out); });
}

void ObservedOps::rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& out) {
  observe(call_of("rms_norm", {x, weight}, out), [&] { inner_.rms_norm(x, weight, eps, out); });
}

void ObservedOps::rms_norm_rope(const Tensor& x, const Tensor& weight, float eps,
                                const RopeTable& rope, RopeLayout layout) {
  observe(call_of("rms_norm_rope", {x, weight, rope.cos, rope.sin}, x),
          [&] { inner_.rms_norm_rope(x, weight, eps, rope, layout); });
}

void ObservedOps::group_norm(const Tensor& x, const GroupNorm& norm, Activation activation,
                             const Tensor& out) {
  observe(call_of("group_norm", {x, norm.weight, norm.bias}, out),
          [&] { inner_.group_norm(x, norm, activation, out); });
}

void ObservedOps::swiglu(const Tensor& gate_up, const Tensor& out) {
  observe(call_of("swiglu", {gate_up}, out), [&] { inner_.swiglu(gate_up, out); });
}

void ObservedOps::activate(const Tensor& x, Activation activation, const Tensor& out) {
  observe(call_of("activate", {x}, out), [&] { inner_.activate(x, activation, out); });
}

void ObservedOps::add_gated(const Tensor& y, const Tensor& gate, const Tensor& x) {
  observe(call_of("add_gated", {y, gate, x}, x), [&] { inner_.add_gated(y, gate, x); });
}

void ObservedOps::embedding(std::span<const std::int32_t> ids, const Weight& table,
                            const Tensor& out) {
  OpCall call = call_of("embedding", {}, out);
  call.bytes += bytes_of(out);  // the rows of the table that are read
  observe(call, [&] { inner_.embedding(ids, table, out); });
}

void ObservedOps::upsample_nearest(const Tensor& x, const Tensor& out) {
  observe(call_of("upsample_nearest", {x}, out), [&] { inner_.upsample_nearest(x, out); });
}

void ObservedOps::copy(const Tensor& x, const Tensor& out) {
  observe(call_of("copy", {x}, out), [&] { inner_.copy(x, out); });
}

}  // namespace flux2
