#pragma once

#include <memory>

#include "backends/cpu/cpu_ops.h"
#include "backends/cpu/dnnl_engine.h"

namespace flux2 {

/// Linear layers in bfloat16 by AMX, with the weights as oneDNN packed them, whose own kernels
/// reach half of what the tiles can do. Rows may be any distance apart, and nothing is copied.
class TileLinear {
 public:
  TileLinear(Isa isa, std::shared_ptr<MemoryPool> pool) : isa_(isa), pool_(std::move(pool)) {}

  /// Whether the processor has tiles and the weights lie as weight_blocks.h says.
  bool suits(const PackedLinear& weight) const;

  /// Bytes of scratch memory during a call.
  static std::size_t scratch_bytes(std::int64_t rows, std::int64_t out);

  /// A linear layer as DnnlEngine::matmul computes it; suits(call.weight), and sums that are added
  /// to `dst` are floats. An output depends only on its row and its weights.
  void operator()(const MatmulCall& call) const;

 private:
  Isa isa_;
  std::shared_ptr<MemoryPool> pool_;
};

}  // namespace flux2
