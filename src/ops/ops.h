#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "tensor/tensor.h"
#include "tensor/weight.h"

namespace flux2 {

/// What a tensor is for, from which a backend picks its element type.
enum class Role {
  stream,   ///< kept and added to: residual streams, modulation, results. Always f32.
  operand,  ///< read next by a matmul, convolution or attention: f32, or bf16 where that computes
};

/// Rotary tables, f32: cosines and sines [L, d/2], or [B, L, d/2] where positions differ by sample.
struct RopeTable {
  Tensor cos;
  Tensor sin;

  /// The rows of `count` tokens from `begin`. A view.
  RopeTable tokens(std::int64_t begin, std::int64_t count) const {
    const int axis = cos.rank() - 2;
    return {cos.slice(axis, begin, count), sin.slice(axis, begin, count)};
  }
};

/// How much rounding of its weights and inputs a linear layer bears.
enum class Sensitivity {
  sensitive,  ///< it stays in the compute type: embedders, modulation, the last layer
  tolerant,   ///< a backend that computes in fewer bits may do so here: the layers of the blocks
};

/// Which two elements of a head rotate together.
enum class RopeLayout {
  pairs,   ///< (x[2i], x[2i+1]): FLUX.2
  halves,  ///< (x[i], x[i + d/2]): Qwen, Mistral, Pixtral
};

/// Keys [begin, end) of one sample.
struct KeyRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

/// Whether a query sees the keys behind it.
enum class Causality { full, causal };

/// Which keys a query may see. A query that may see none gets zeros, as in torch.
struct AttentionMask {
  /// causal: query i of Lq sees keys j <= i + Lk - Lq.
  Causality causality = Causality::full;
  /// Real keys, one range a sample; empty: all of them.
  std::vector<KeyRange> keys;
  /// Added to the scores, f32 [B or 1, H or 1, Lq, Lk]; may hold -infinity. Undefined: nothing.
  Tensor bias;
};

enum class Activation { none, silu, gelu };

/// 3x3 "same" convolution by default.
struct ConvGeometry {
  std::int64_t stride = 1;
  std::int64_t pad_top = 1;
  std::int64_t pad_left = 1;
  std::int64_t pad_bottom = 1;
  std::int64_t pad_right = 1;
};

/// Group normalisation: `groups` groups of neighbouring channels; weight and bias [C], f32.
struct GroupNorm {
  Tensor weight;
  Tensor bias;
  std::int64_t groups = 32;
  float eps = 1e-6f;
};

/// The operations that FLUX.2 is made of: the contract between models and backends.
///
/// Notation: B batch, L tokens, D width, H heads, d head width, C channels. Token tensors are
/// [B, L, D] with contiguous rows and free batch and token strides, so an argument may be a range
/// of tokens or columns of something larger. Picture tensors are [B, height, width, C], dense
/// except in `copy`, `upload` and `download`, which take any strides.
///
/// Every operation writes into `out`, which the caller made with `empty` (or a view of such a
/// tensor), of either role; inputs may have either role too. `out` must not overlap an input
/// unless the operation says "in place". Accumulation and everything that is not a matmul input is
/// float whatever the roles. Shapes that do not fit are programming errors (asserted), since
/// models derive them all from one checked config.
///
/// An Ops serves one thread at a time.
class Ops {
 public:
  virtual ~Ops() = default;

  /// "reference", "cpu f32 avx512", ...
  virtual std::string_view name() const = 0;

  // --- Storage ---------------------------------------------------------------------------------

  /// An uninitialised dense tensor. The memory returns to the backend with the last handle and is
  /// given out again, so that a repeated computation allocates only the first time.
  virtual Tensor empty(const Shape& shape, Role role) = 0;
  /// A copy of a host tensor (f32) for the backend to read.
  virtual Tensor upload(const Tensor& host, Role role) = 0;
  /// A dense f32 host tensor with the elements of `device`.
  virtual Tensor download(const Tensor& device) = 0;
  /// Gives memory that no tensor uses back to the system.
  virtual void trim() {}
  /// Bytes of such memory: what new tensors can have without asking the system.
  virtual std::size_t idle_bytes() const { return 0; }

  // --- Weights ---------------------------------------------------------------------------------

  /// A linear layer whose weight [out, in] is `row_blocks` stacked by rows (q, k and v, or gate
  /// and up, stored apart). All blocks have the same number of columns.
  /// @param bias  f32 [out], or undefined
  virtual Weight prepare_linear(std::span<const StoredTensor> row_blocks, const Tensor& bias,
                                Sensitivity sensitivity) = 0;
  /// The same for a sensitive one.
  Weight prepare_linear(std::span<const StoredTensor> row_blocks, const Tensor& bias) {
    return prepare_linear(row_blocks, bias, Sensitivity::sensitive);
  }
  /// The type that such a layer would be kept and multiplied in: decided by what is computed in,
  /// what the layer bears and how it is stored. Of no blocks at all: that of a matmul's operand.
  virtual DType linear_type(std::span<const StoredTensor> row_blocks,
                            Sensitivity sensitivity) const = 0;
  /// A convolution: `kernel` [out, in, kh, kw], bias f32 [out].
  virtual Weight prepare_conv2d(const StoredTensor& kernel, const Tensor& bias) = 0;
  /// A table [rows, width] for `embedding`. May go on reading the mapped file.
  virtual Weight prepare_embedding(const StoredTensor& table) = 0;

  // --- Matmuls ---------------------------------------------------------------------------------

  /// out = x W^T (+ bias).   x [..., in], out [..., out]
  virtual void linear(const Tensor& x, const Weight& weight, const Tensor& out) = 0;
  /// residual += gate * (x W^T + bias), in place.   x [B, L, in], residual [B, L, out]
  /// @param gate  [B, out], or undefined for 1
  virtual void linear_add_gated(const Tensor& x, const Weight& weight, const Tensor& gate,
                                const Tensor& residual);
  /// out[b, i, h] = sum_j softmax_j(scale q[b, i, h] . k[b, j, g] + mask) v[b, j, g],
  /// g = h Hkv / H: grouped heads share a key head.
  /// q, out [B, Lq, H, d];  k, v [B, Lk, Hkv, d];  scale = 1 / sqrt(d)
  virtual void attention(const Tensor& q, const Tensor& k, const Tensor& v,
                         const AttentionMask& mask, const Tensor& out) = 0;
  /// Picture convolution with zero padding.   x [B, h, w, Cin], out [B, h', w', Cout]
  virtual void conv2d(const Tensor& x, const Weight& weight, const ConvGeometry& geometry,
                      const Tensor& out) = 0;
  /// residual += conv2d(x), in place.
  virtual void conv2d_add(const Tensor& x, const Weight& weight, const ConvGeometry& geometry,
                          const Tensor& residual);

  /// out = conv2d(upsample_nearest(x)) with a 3x3 kernel and one pixel of zeros around.
  /// x [B, h, w, Cin], out [B, 2h, 2w, Cout]
  virtual void upsample_conv2d(const Tensor& x, const Weight& weight, const Tensor& out);

  // --- Norms -----------------------------------------------------------------------------------

  /// out = (1 + scale) * (x - mean) / sqrt(var + eps) + shift, statistics over a row (biased).
  /// x, out [B, L, D];  scale, shift [B, D]
  virtual void adaln(const Tensor& x, const Tensor& scale, const Tensor& shift, float eps,
                     const Tensor& out) = 0;
  /// out = weight * x / sqrt(mean(x^2) + eps).   x, out [..., D], weight [D]
  virtual void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& out) = 0;
  /// x = rope(rms_norm(x)) over each head, in place.   x [B, L, H, d]
  /// For a rotating couple (a, b):  a' = a cos - b sin,  b' = b cos + a sin.
  /// @param weight  [d], or undefined: only rotate
  virtual void rms_norm_rope(const Tensor& x, const Tensor& weight, float eps,
                             const RopeTable& rope, RopeLayout layout) = 0;
  /// out = activation(weight * (x - mean_g) / sqrt(var_g + eps) + bias), statistics over the
  /// pixels and channels of a group, biased; may be in place.   x, out [B, h, w, C]
  virtual void group_norm(const Tensor& x, const GroupNorm& norm, Activation activation,
                          const Tensor& out) = 0;

  // --- Elementwise and moves -------------------------------------------------------------------

  /// out = silu(gate) * up.   gate_up [..., 2M] with the gate in columns [0, M), out [..., M]
  virtual void swiglu(const Tensor& gate_up, const Tensor& out) = 0;
  /// out = activation(x); may be in place.   silu(x) = x / (1 + e^-x); gelu is the exact one (erf)
  virtual void activate(const Tensor& x, Activation activation, const Tensor& out) = 0;
  /// x += gate * y, in place.   x, y [B, L, D], gate [B, D], or undefined for 1
  virtual void add_gated(const Tensor& y, const Tensor& gate, const Tensor& x) = 0;
  /// out[i] = table[ids[i]].   ids in [0, rows), out [ids.size(), width]
  virtual void embedding(std::span<const std::int32_t> ids, const Weight& table,
                         const Tensor& out) = 0;
  /// out[y, x] = x[y / 2, x / 2].   x [B, h, w, C], out [B, 2h, 2w, C]
  virtual void upsample_nearest(const Tensor& x, const Tensor& out) = 0;
  /// out = x, whatever the strides and roles of the two.
  virtual void copy(const Tensor& x, const Tensor& out) = 0;

  // --- Observation -----------------------------------------------------------------------------

  /// A model names an intermediate result here. Nothing happens unless a decorator listens.
  virtual void mark(std::string_view name, const Tensor& value);

  // --- The same, into a new tensor ---------------------------------------------------------------

  Tensor linear(const Tensor& x, const Weight& weight, Role role = Role::operand);
  Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v,
                   const AttentionMask& mask = {});
  Tensor adaln(const Tensor& x, const Tensor& scale, const Tensor& shift, float eps);
  Tensor rms_norm(const Tensor& x, const Tensor& weight, float eps);
  Tensor swiglu(const Tensor& gate_up);
  Tensor activate(const Tensor& x, Activation activation, Role role = Role::operand);
};

}  // namespace flux2
