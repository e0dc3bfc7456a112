#pragma once

#include "ops/observed_ops.h"
#include "pipeline/monitor.h"

namespace flux2 {

/// Ends a call between two operations, so that stopping never waits for a whole step.
class StoppableOps final : public ObservedOps {
 public:
  StoppableOps(Ops& inner, const Monitor& monitor) : ObservedOps(inner), monitor_(monitor) {}

 private:
  void observe(const OpCall&, const std::function<void()>& run) override {
    monitor_.check_stop();
    run();
  }

  const Monitor& monitor_;
};

}  // namespace flux2
