#pragma once

#include <functional>

#include "ops/observed_ops.h"

namespace flux2::mutations {

/// A backend with a deliberate fault: a replaced operation is called instead of the right one,
/// with the right backend to work with.
class FaultyOps final : public ObservedOps {
 public:
  struct Faults {
    std::function<void(Ops&, const Tensor& x, const Tensor& scale, const Tensor& shift, float eps,
                       const Tensor& out)>
        adaln;
    std::function<void(Ops&, const Tensor& gate_up, const Tensor& out)> swiglu;
    std::function<void(Ops&, const Tensor& x, const Tensor& weight, float eps,
                       const RopeTable& rope, RopeLayout layout)>
        rms_norm_rope;
    std::function<void(Ops&, const Tensor& q, const Tensor& k, const Tensor& v,
                       const AttentionMask& mask, const Tensor& out)>
        attention;
    std::function<void(Ops&, const Tensor& x, const Weight& weight, const Tensor& gate,
                       const Tensor& residual)>
        linear_add_gated;
    std::function<void(Ops&, const Tensor& x, const GroupNorm& norm, Activation activation,
                       const Tensor& out)>
        group_norm;
    std::function<void(Ops&, const Tensor& x, const Weight& weight, const ConvGeometry& geometry,
                       const Tensor& out)>
        conv2d;
    std::function<void(Ops&, const Tensor& x, const Tensor& out)> upsample_nearest;
    std::function<void(Ops&, const Tensor& x, Activation activation, const Tensor& out)> activate;
  };

  FaultyOps(Ops& inner, Faults faults) : ObservedOps(inner), faults_(std::move(faults)) {}

  using ObservedOps::activate;
  using ObservedOps::adaln;
  using ObservedOps::attention;
  using ObservedOps::swiglu;

  void adaln(const Tensor& x, const Tensor& scale, const Tensor& shift, float eps,
             const Tensor& out) override {
    if (faults_.adaln) return faults_.adaln(inner(), x, scale, shift, eps, out);
    inner().adaln(x, scale, shift, eps, out);
  }
  void swiglu(const Tensor& gate_up, const Tensor& out) override {
    if (faults_.swiglu) return faults_.swiglu(inner(), gate_up, out);
    inner().swiglu(gate_up, out);
  }
  void rms_norm_rope(const Tensor& x, const Tensor& weight, float eps, const RopeTable& rope,
                     RopeLayout layout) override {
    if (faults_.rms_norm_rope) return faults_.rms_norm_rope(inner(), x, weight, eps, rope, layout);
    inner().rms_norm_rope(x, weight, eps, rope, layout);
  }
  void attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask,
                 const Tensor& out) override {
    if (faults_.attention) return faults_.attention(inner(), q, k, v, mask, out);
    inner().attention(q, k, v, mask, out);
  }
  void linear_add_gated(const Tensor& x, const Weight& weight, const Tensor& gate,
                        const Tensor& residual) override {
    if (faults_.linear_add_gated) {
      return faults_.linear_add_gated(inner(), x, weight, gate, residual);
    }
    inner().linear_add_gated(x, weight, gate, residual);
  }
  void group_norm(const Tensor& x, const GroupNorm& norm, Activation activation,
                  const Tensor& out) override {
    if (faults_.group_norm) return faults_.group_norm(inner(), x, norm, activation, out);
    inner().group_norm(x, norm, activation, out);
  }
  void conv2d(const Tensor& x, const Weight& weight, const ConvGeometry& geometry,
              const Tensor& out) override {
    if (faults_.conv2d) return faults_.conv2d(inner(), x, weight, geometry, out);
    inner().conv2d(x, weight, geometry, out);
  }
  /// In the small operations, so that their faults take part.
  void upsample_conv2d(const Tensor& x, const Weight& weight, const Tensor& out) override {
    Ops::upsample_conv2d(x, weight, out);
  }
  void upsample_nearest(const Tensor& x, const Tensor& out) override {
    if (faults_.upsample_nearest) return faults_.upsample_nearest(inner(), x, out);
    inner().upsample_nearest(x, out);
  }
  void activate(const Tensor& x, Activation activation, const Tensor& out) override {
    if (faults_.activate) return faults_.activate(inner(), x, activation, out);
    inner().activate(x, activation, out);
  }

 private:
  void observe(const OpCall&, const std::function<void()>& run) override { run(); }

  Faults faults_;
};

}  // namespace flux2::mutations
