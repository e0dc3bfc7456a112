#pragma once

#include <limits>
#include <map>
#include <string>

#include "ops/ops.h"

namespace flux2 {

/// How far two backends were apart in one operation, over all its calls.
struct OpDifference {
  std::int64_t calls = 0;
  std::int64_t excesses = 0;  ///< calls beyond the tolerance
  /// The largest max|tested - judge| / max|judge| of a call; infinity if the tested backend gave
  /// a NaN or an infinity that the judge did not, or the other way round.
  double largest = 0;
  std::string worst;  ///< shape of the output of that call
};

/// What a difference beyond the tolerance does.
enum class OnExcess { fail, collect };

struct CheckingOptions {
  double tolerance = std::numeric_limits<double>::infinity();
  OnExcess on_excess = OnExcess::collect;
};

/// Runs every operation on two backends side by side and compares.
///
/// Tensors belong to the tested backend, and the judge gets copies of its inputs at each
/// operation, so that differences do not add up. Weights are prepared by both.
class CheckingOps final : public Ops {
 public:
  /// @param tested, judge  must outlive this
  CheckingOps(Ops& tested, Ops& judge, const CheckingOptions& options = {});

  using Ops::activate;
  using Ops::adaln;
  using Ops::attention;
  using Ops::linear;
  using Ops::rms_norm;
  using Ops::swiglu;

  /// By operation.
  const std::map<std::string, OpDifference>& differences() const { return differences_; }

  std::string_view name() const override { return name_; }
  Tensor empty(const Shape& shape, Role role) override { return tested_.empty(shape, role); }
  Tensor upload(const Tensor& host, Role role) override { return tested_.upload(host, role); }
  Tensor download(const Tensor& device) override { return tested_.download(device); }
  void trim() override;

  DType linear_type(std::span<const StoredTensor> row_blocks,
                    Sensitivity sensitivity) const override {
    return tested_.linear_type(row_blocks, sensitivity);
  }
  Weight prepare_linear(std::span<const StoredTensor> row_blocks, const Tensor& bias,
                        Sensitivity sensitivity) override;
  Weight prepare_conv2d(const StoredTensor& kernel, const Tensor& bias) override;
  Weight prepare_embedding(const StoredTensor& table) override;

  /// Each of these throws Error internal on a difference beyond the tolerance if asked to fail.
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

  void mark(std::string_view name, const Tensor& value) override { tested_.mark(name, value); }

 private:
  /// The judge's copy of a tensor of the tested backend; undefined stays undefined.
  Tensor mirror(const Tensor& tensor);
  void compare(const char* operation, const Tensor& tested, const Tensor& judge);

  Ops& tested_;
  Ops& judge_;
  CheckingOptions options_;
  std::string name_;
  std::map<std::string, OpDifference> differences_;
};

}  // namespace flux2
