#pragma once

#include <cstddef>
#include <cstdint>

#include "backends/cpu/cpu_ops.h"
#include "ops/ops.h"

namespace flux2 {

/// Attention on the CPU: tiles of queries against blocks of keys with a running softmax, so that
/// no matrix of scores exists (Dao et al., FlashAttention, arXiv 2205.14135).
///
/// Multiplies in bf16 where q, k and v are all bf16 and `isa` has its dot products, the softmax
/// weights rounded to bf16 too; in f32 otherwise. Statistics and sums are f32 always. A row of
/// `out` depends only on the arguments, never on the number of threads.
///
/// Serves one thread at a time: it keeps its scratch memory from one call to the next.
class CpuAttention {
 public:
  explicit CpuAttention(Isa isa) : isa_(isa) {}
  ~CpuAttention() { trim(); }
  CpuAttention(const CpuAttention&) = delete;
  CpuAttention& operator=(const CpuAttention&) = delete;

  /// Ops::attention. Every tensor may be f32 or bf16, with any head width and any batch, token and
  /// head strides. Scores below -1e30 count as -infinity.
  /// @param q    [B, Lq, H, d]
  /// @param k    [B, Lk, Hkv, d]
  /// @param v    [B, Lk, Hkv, d]
  /// @param out  [B, Lq, H, d], overlapping none of them
  /// @throws Error out_of_memory
  void operator()(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask,
                  const Tensor& out);

  /// Bytes of scratch memory held between calls.
  std::size_t scratch_bytes() const { return scratch_bytes_; }
  /// Bytes that a call needs. Of the tensors only shapes and types are looked at.
  std::size_t scratch_bytes_for(const Tensor& q, const Tensor& k, const Tensor& v,
                                const AttentionMask& mask) const;
  /// Gives the scratch memory back to the system.
  void trim();

 private:
  std::byte* reserve(std::size_t bytes);

  Isa isa_;
  std::byte* scratch_ = nullptr;
  std::size_t scratch_bytes_ = 0;
};

}  // namespace flux2
