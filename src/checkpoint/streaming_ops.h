#pragma once

#include <memory>
#include <optional>
#include <span>

#include "checkpoint/read_ahead.h"
#include "ops/observed_ops.h"
#include "tensor/weight.h"

namespace flux2 {

/// Lets a model compute that does not fit into memory: linear layers of the blocks (the tolerant
/// ones, nearly all of a model) can be left in the mapped file, prepared when they are used, and
/// let go of when the next one is. Neither models nor backends know.
///
/// All threads prepare, and the disk reads the layer that will follow meanwhile: a thread that
/// prepared ahead would take its time from those that compute, and a second layer's memory. What
/// is prepared is the same bytes every time, and so is what is computed.
class StreamingOps final : public ObservedOps {
 public:
  explicit StreamingOps(std::unique_ptr<Ops> inner);

  using Ops::linear;

  /// How much of what is prepared from here on is streamed: 0 (nothing) to 1. Layers that stay in
  /// memory and layers that do not take turns.
  void stream(double share);
  /// Elements of the layers that are streamed, since stream().
  double streamed_elements() const { return streamed_; }
  /// Lets go of the layer that was used last.
  void release() { current_ = {}; }

  Weight prepare_linear(std::span<const StoredTensor> row_blocks, const Tensor& bias,
                        Sensitivity sensitivity) override;
  void linear(const Tensor& x, const Weight& weight, const Tensor& out) override;
  void linear_add_gated(const Tensor& x, const Weight& weight, const Tensor& gate,
                        const Tensor& residual) override;

 private:
  struct Streamed;
  struct Current {
    std::shared_ptr<const Streamed> streamed;
    Weight weight;
  };

  void observe(const OpCall&, const std::function<void()>& run) override { run(); }
  bool stays(double elements);
  /// `weight`, prepared.
  Weight ready(const Weight& weight);
  void follow(const std::shared_ptr<const Streamed>& streamed);

  std::unique_ptr<Ops> owned_;
  double share_ = 0;
  double seen_ = 0;                     ///< elements since stream()
  double streamed_ = 0;                 ///< of them
  std::weak_ptr<const Streamed> last_;  ///< that was made, then that was used
  Current current_;
  std::optional<ReadAhead> disk_;  ///< once something is streamed
};

}  // namespace flux2
