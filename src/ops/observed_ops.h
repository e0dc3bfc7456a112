#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "ops/ops.h"

namespace flux2 {

/// One call of an operation, as a decorator sees it.
struct OpCall {
  std::string_view name;        ///< "linear", "attention", ...; a literal
  std::vector<Tensor> inputs;   ///< tensors read; undefined ones are left out
  std::vector<Tensor> outputs;  ///< tensors written; one that is updated in place is also an input
  double flops = 0;  ///< of matmuls, convolutions and attention (visible keys only); 0 for others
  double bytes = 0;  ///< least memory traffic: every input, weight and output once; a weight's
                     ///< elements count as large as those of the tensor it multiplies
};

/// The base of decorators: forwards everything to another backend, and every operation through
/// `observe`. Weights and tensors are those of the decorated backend.
class ObservedOps : public Ops {
 public:
  /// @param inner  must outlive this
  explicit ObservedOps(Ops& inner) : inner_(inner) {}

  using Ops::activate;
  using Ops::adaln;
  using Ops::attention;
  using Ops::linear;
  using Ops::rms_norm;
  using Ops::swiglu;

  std::string_view name() const override { return inner_.name(); }

  Tensor empty(const Shape& shape, Role role) override { return inner_.empty(shape, role); }
  Tensor upload(const Tensor& host, Role role) override { return inner_.upload(host, role); }
  Tensor download(const Tensor& device) override { return inner_.download(device); }
  void trim() override { inner_.trim(); }
  std::size_t idle_bytes() const override { return inner_.idle_bytes(); }

  Weight prepare_linear(std::span<const StoredTensor> row_blocks, const Tensor& bias,
                        Sensitivity sensitivity) override {
    return inner_.prepare_linear(row_blocks, bias, sensitivity);
  }
  DType linear_type(std::span<const StoredTensor> row_blocks,
                    Sensitivity sensitivity) const override {
    return inner_.linear_type(row_blocks, sensitivity);
  }
  Weight prepare_conv2d(const StoredTensor& kernel, const Tensor& bias) override {
    return inner_.prepare_conv2d(kernel, bias);
  }
  Weight prepare_embedding(const StoredTensor& table) override {
    return inner_.prepare_embedding(table);
  }

  void linear(const Tensor& x, const Weight& weight, const Tensor& out) override;
  void linear_add_gated(const Tensor& x, const Weight& weight, const Tensor& gate,
                        const Tensor& residual) override;
  void attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask,
                 const Tensor& out) override;
  void conv2d(const Tensor& x, const Weight& weight, const ConvGeometry& geometry,
              const Tensor& out) override;
  void conv2d_add(const Tensor& x, const Weight& weight, const ConvGeometry& geometry,
                  const Tensor& residual) override;
  void upsample_conv2d(const Tensor& x, const Weight& weight, const Tensor& out) override;
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

  void mark(std::string_view name, const Tensor& value) override { inner_.mark(name, value); }

 protected:
  /// Called once for each operation; must call `run` exactly once.
  virtual void observe(const OpCall& call, const std::function<void()>& run) = 0;

  Ops& inner() { return inner_; }

 private:
  Ops& inner_;
};

}  // namespace flux2
