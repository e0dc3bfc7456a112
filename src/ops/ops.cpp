#include "ops/ops.h"

namespace flux2 {
namespace {

// The shape of `x` with `size` as its last dimension.
Shape with_width(const Tensor& x, std::int64_t size) {
  Shape shape = x.shape();
  shape.set(-1, size);
  return shape;
}

}  // namespace

void Ops::linear_add_gated(const Tensor& x, const Weight& weight, const Tensor& gate,
                           const Tensor& residual) {
  const Tensor product = empty(residual.shape(), Role::stream);
  linear(x, weight, product);
  add_gated(product, gate, residual);
}

void Ops::conv2d_add(const Tensor& x, const Weight& weight, const ConvGeometry& geometry,
                     const Tensor& residual) {
  const Tensor product = empty(residual.shape(), Role::stream);
  conv2d(x, weight, geometry, product);
  const Shape rows = {residual.dim(0), residual.dim(1) * residual.dim(2), residual.dim(3)};
  add_gated(product.view(rows), {}, residual.view(rows));
}

void Ops::upsample_conv2d(const Tensor& x, const Weight& weight, const Tensor& out) {
  const Tensor doubled = empty({x.dim(0), out.dim(1), out.dim(2), x.dim(3)}, Role::operand);
  upsample_nearest(x, doubled);
  conv2d(doubled, weight, {}, out);
}

void Ops::mark(std::string_view, const Tensor&) {}

Tensor Ops::linear(const Tensor& x, const Weight& weight, Role role) {
  Tensor out = empty(with_width(x, weight.out_features()), role);
  linear(x, weight, out);
  return out;
}

Tensor Ops::attention(const Tensor& q, const Tensor& k, const Tensor& v,
                      const AttentionMask& mask) {
  Tensor out = empty(q.shape(), Role::operand);
  attention(q, k, v, mask, out);
  return out;
}

Tensor Ops::adaln(const Tensor& x, const Tensor& scale, const Tensor& shift, float eps) {
  Tensor out = empty(x.shape(), Role::operand);
  adaln(x, scale, shift, eps, out);
  return out;
}

Tensor Ops::rms_norm(const Tensor& x, const Tensor& weight, float eps) {
  Tensor out = empty(x.shape(), Role::operand);
  rms_norm(x, weight, eps, out);
  return out;
}

Tensor Ops::swiglu(const Tensor& gate_up) {
  Tensor out = empty(with_width(gate_up, gate_up.dim(-1) / 2), Role::operand);
  swiglu(gate_up, out);
  return out;
}

Tensor Ops::activate(const Tensor& x, Activation activation, Role role) {
  Tensor out = empty(x.shape(), role);
  activate(x, activation, out);
  return out;
}

}  // namespace flux2
