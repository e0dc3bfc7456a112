#pragma once

#include <vector>

#include "ops/ops.h"

namespace flux2::reference {

/// A weight as float. Linear layers and convolutions are kept with their inputs outermost, so that
/// the innermost loop runs over outputs: [in, out] and [kh, kw, in, out]. Tables are [rows, width].
struct FloatWeight final : PreparedWeight {
  std::vector<float> values;
  std::vector<float> bias;  ///< [out]; zeros where the layer has none
};

/// See make_reference_ops.
class ReferenceOps final : public Ops {
 public:
  using Ops::activate;
  using Ops::adaln;
  using Ops::attention;
  using Ops::linear;
  using Ops::rms_norm;
  using Ops::swiglu;

  std::string_view name() const override { return "reference"; }

  Tensor empty(const Shape& shape, Role role) override;
  Tensor upload(const Tensor& host, Role role) override;
  Tensor download(const Tensor& device) override;

  DType linear_type(std::span<const StoredTensor>, Sensitivity) const override {
    return DType::f32;
  }
  Weight prepare_linear(std::span<const StoredTensor> row_blocks, const Tensor& bias,
                        Sensitivity sensitivity) override;
  Weight prepare_conv2d(const StoredTensor& kernel, const Tensor& bias) override;
  Weight prepare_embedding(const StoredTensor& table) override;

  void linear(const Tensor& x, const Weight& weight, const Tensor& out) override;
  void attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask,
                 const Tensor& out) override;
  void conv2d(const Tensor& x, const Weight& weight, const ConvGeometry& geometry,
              const Tensor& out) override;

  void adaln(const Tensor& x, const Tensor& scale, const Tensor& shift, float eps,
             const Tensor& out) override;
  void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& out) override;
  void rms_norm_rope(const Tensor& x, const Tensor& weight, float eps, const RopeTable& rope,
                     RopeLayout layout) override;
  void group_norm(const Tensor& x, const GroupNorm& norm, Activation activation,
                  const Tensor& out) override;

  void swiglu(const Tensor& gate_up, const Tensor& out) override;
  void activate(const Tensor& x, Activation activation, const Tensor& out) override;
  void add_gated(const Tensor& y, const Tensor& gate, const Tensor& x) override;
  void embedding(std::span<const std::int32_t> ids, const Weight& table,
                 const Tensor& out) override;
  void upsample_nearest(const Tensor& x, const Tensor& out) override;
  void copy(const Tensor& x, const Tensor& out) override;
};

/// activation(x), in double.
double apply(Activation activation, double x);

}  // namespace flux2::reference
