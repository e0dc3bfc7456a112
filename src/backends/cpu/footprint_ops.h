#pragma once

#include <memory>
#include <string_view>
#include <utility>

#include "backends/cpu/attention.h"
#include "backends/cpu/cpu_ops.h"
#include "backends/cpu/int8_linear.h"
#include "backends/cpu/memory_pool.h"
#include "ops/ops.h"

namespace flux2 {

/// The CPU backend's memory without its arithmetic: the same pool over imaginary pages, the same
/// weights, results and scratch tensors of the same sizes at the same times, and nothing in them. A
/// model that runs on it tells what it would need, in no time.
///
/// Whatever these operations are given or give is never to be read or written: `download` gives
/// imaginary tensors too, and host tensors count as memory like any other.
class FootprintOps final : public Ops {
 public:
  explicit FootprintOps(const CpuOptions& options);

  using Ops::activate;
  using Ops::adaln;
  using Ops::attention;
  using Ops::linear;
  using Ops::rms_norm;
  using Ops::swiglu;

  /// The most bytes that were held at once since the last call, and begins anew with what is held
  /// now.
  std::size_t take_peak();
  /// Bytes of the weights that were prepared since the last call.
  double take_prepared() { return std::exchange(prepared_bytes_, 0); }
  /// Bytes that tensors and weights use now.
  std::size_t used_bytes() const { return pool_->held_bytes() - pool_->idle_bytes(); }
  /// A tensor of the host, to be handed to `upload`.
  Tensor host(const Shape& shape);

  std::string_view name() const override { return "footprint"; }

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

  // What needs no memory besides its arguments.
  void adaln(const Tensor&, const Tensor&, const Tensor&, float, const Tensor&) override {}
  void rms_norm(const Tensor&, const Tensor&, float, const Tensor&) override {}
  void rms_norm_rope(const Tensor&, const Tensor&, float, const RopeTable&, RopeLayout) override {}
  void group_norm(const Tensor&, const GroupNorm&, Activation, const Tensor&) override {}
  void swiglu(const Tensor&, const Tensor&) override {}
  void activate(const Tensor&, Activation, const Tensor&) override {}
  void add_gated(const Tensor&, const Tensor&, const Tensor&) override {}
  void embedding(std::span<const std::int32_t>, const Weight&, const Tensor&) override {}
  void upsample_nearest(const Tensor&, const Tensor&) override {}
  void copy(const Tensor&, const Tensor&) override {}

 private:
  FootprintOps(const CpuOptions& options, Isa isa);

  /// What the operation makes of x first: a copy of the operands' type, or quantised rows;
  /// undefined where it reads x as it is.
  std::shared_ptr<Storage> operand_of(const Tensor& x, const Weight& weight);
  /// What the product itself needs meanwhile; undefined: nothing of the pool's.
  std::shared_ptr<Storage> scratch_of(const Tensor& x, const Weight& weight);
  /// Where a product is not added while it is stored, it is kept first.
  Tensor product_of(const Tensor& residual);

  CpuOptions options_;
  /// oneDNN's batch-reduce kernels: products are added while they are stored, and read weights in
  /// the layout that this backend packs itself.
  bool newer_matmuls_;
  bool tiles_;  ///< TileLinear multiplies
  DType operand_type_;
  std::shared_ptr<MemoryPool> pool_;
  Int8Linear int8_;
  CpuAttention attention_;
  std::shared_ptr<Storage> attention_scratch_;
  double prepared_bytes_ = 0;
};

}  // namespace flux2
