#pragma once

#include <cstdint>
#include <optional>

#include "backends/cpu/cpu_ops.h"
#include "backends/cpu/dnnl_engine.h"
#include "tensor/tensor.h"

namespace flux2 {

/// Up to this many rows a linear layer waits for its weights, not for multiplications.
inline constexpr std::int64_t kMostFewRows = 2 * 4;

/// Multiplies few rows with the weights as oneDNN packed them, reading each weight once.
class FewRowsLinear {
 public:
  FewRowsLinear(Isa isa, std::shared_ptr<MemoryPool> pool) : isa_(isa), pool_(std::move(pool)) {}

  /// Whether there is a kernel for these weights: not for a layout of oneDNN's that it does not
  /// know, nor without AVX-512.
  bool suits(const PackedLinear& weight, std::int64_t rows) const;

  /// x W^T, without the bias: f32 [rows, out].
  /// @param x  [rows, in], dense, of the weight's type; suits(weight, rows)
  Tensor operator()(const Tensor& x, const PackedLinear& weight) const;

 private:
  Isa isa_;
  std::shared_ptr<MemoryPool> pool_;
};

}  // namespace flux2
