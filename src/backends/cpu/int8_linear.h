#pragma once

#include <memory>
#include <span>

#include "backends/cpu/cpu_ops.h"
#include "backends/cpu/dnnl_primitives.h"
#include "backends/cpu/int8_quantizer.h"
#include "backends/cpu/memory_pool.h"
#include "tensor/weight.h"

namespace flux2 {

/// A linear layer in int8: W[o, i] = q[o, i] * scales[o], in the panels of int8_kernels.h.
struct Int8Weight final : PreparedWeight {
  std::int64_t in = 0;
  std::int64_t out = 0;
  Rotation rotation = Rotation::none;  ///< of every row of W, and so of every x
  std::shared_ptr<Storage> panels;
  Tensor scales;  ///< f32 [out padded to panels]
  Tensor start;   ///< i32, likewise: what the sums begin with, see Int8Kernels::operand_offset
  Tensor bias;    ///< f32 [out], or undefined
};

/// y = x W^T (+ bias) for every row of x, stored or added to `out`.
struct Int8Call {
  const Int8Weight& weight;
  const Tensor& x;    ///< [..., in]
  const Tensor& out;  ///< [..., out]; f32 unless stored
  Epilogue epilogue = Epilogue::store;
  const float* gates = nullptr;   ///< [samples, out], for Epilogue::add_gated
  std::int64_t rows_of_gate = 1;  ///< rows of x that share a row of gates
};

/// Linear layers whose weights have one scale an output and whose inputs get one scale a row, on
/// the fly; products are summed up in 32-bit integers, exactly.
class Int8Linear {
 public:
  Int8Linear(Isa isa, std::shared_ptr<MemoryPool> pool);

  /// Whether the sums of that many products fit their integers.
  static bool fits(std::int64_t in) { return in <= kMostInputs; }
  /// Bytes of the panels of a weight [out, in].
  std::size_t panel_bytes(std::int64_t out, std::int64_t in) const;
  /// Bytes of so many rows of x, quantised.
  std::size_t operand_bytes(std::int64_t rows, std::int64_t in) const;

  /// Takes the integers of blocks that are stored as such, quantises others row by row.
  std::shared_ptr<Int8Weight> pack(std::span<const StoredTensor> row_blocks);
  void operator()(const Int8Call& call);

 private:
  static constexpr std::int64_t kMostInputs = 65536;

  class Operands;

  Operands quantize(const Int8Call& call);

  const Int8Kernels& kernels_;
  std::shared_ptr<MemoryPool> pool_;
};

}  // namespace flux2
