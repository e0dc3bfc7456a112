#pragma once

#include <string>
#include <vector>

#include "backends/cpu/attention.h"
#include "backends/cpu/dnnl_engine.h"
#include "backends/cpu/few_rows.h"
#include "backends/cpu/int8_linear.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/memory_pool.h"
#include "backends/cpu/tile_linear.h"
#include "ops/ops.h"

namespace flux2 {

/// A table that is read where it lies in the mapped file.
struct CpuTable final : PreparedWeight {
  StoredTensor stored;
};

/// The type of Role::operand: what is not computed in int8 is computed in what the processor has
/// next to it.
DType operand_type(ComputeType compute, Isa isa);
/// Ops::linear_type, where operands are `operand`.
DType linear_type_of(std::span<const StoredTensor> row_blocks, Sensitivity sensitivity,
                     const CpuOptions& options, DType operand);
/// Rows of a small picture that upsample_conv2d works on at a time, `kernel` [out, in, 3, 3].
std::int64_t upsampling_band_rows(std::int64_t width, const Shape& kernel);

/// See make_cpu_ops. Storage and weights are in cpu_storage.cpp, matmuls in cpu_matmuls.cpp, and
/// so on.
class CpuOps final : public Ops {
 public:
  CpuOps(ComputeType compute, Isa isa, StoredIntegers integers);

  using Ops::activate;
  using Ops::adaln;
  using Ops::attention;
  using Ops::linear;
  using Ops::rms_norm;
  using Ops::swiglu;

  std::string_view name() const override { return name_; }

  Tensor empty(const Shape& shape, Role role) override;
  Tensor upload(const Tensor& host, Role role) override;
  Tensor download(const Tensor& device) override;
  void trim() override;
  std::size_t idle_bytes() const override { return pool_->idle_bytes(); }

  DType linear_type(std::span<const StoredTensor> row_blocks,
                    Sensitivity sensitivity) const override;
  Weight prepare_linear(std::span<const StoredTensor> row_blocks, const Tensor& bias,
                        Sensitivity sensitivity) override;
  Weight prepare_conv2d(const StoredTensor& kernel, const Tensor& bias) override;
  Weight prepare_embedding(const StoredTensor& table) override;

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

 private:
  /// `x` itself where it has that type and is dense, else a copy that is.
  Tensor dense(const Tensor& x, DType dtype);
  /// A small parameter as dense f32; an undefined one stays so.
  Tensor parameter(const Tensor& x) { return x.defined() ? dense(x, DType::f32) : x; }
  /// One sample of a linear layer. x [rows, in], out [rows, out]
  void multiply(const Tensor& x, const PackedLinear& weight, const Tensor& out);
  /// The same with the bias, in f32, where FewRowsLinear suits.
  Tensor multiply_few(const Tensor& x, const PackedLinear& weight);
  bool multiply_fused(const Tensor& x, const PackedLinear& weight, const Tensor& gate,
                      const Tensor& residual);

  ComputeType compute_;
  StoredIntegers integers_;
  DType compute_dtype_;
  std::string name_;
  const Kernels& kernels_;
  std::shared_ptr<MemoryPool> pool_;
  DnnlEngine dnnl_;
  FewRowsLinear few_rows_;
  TileLinear tiles_;
  Int8Linear int8_;
  CpuAttention attention_;
};

}  // namespace flux2
