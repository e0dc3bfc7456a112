#pragma once

#include <map>
#include <string>
#include <vector>

#include "ops/observed_ops.h"

namespace flux2 {

/// What all calls of one operation took together.
struct OpTiming {
  std::string name;
  std::int64_t calls = 0;
  double seconds = 0;  ///< wall clock
  double flops = 0;    ///< see OpCall
  double bytes = 0;    ///< see OpCall
};

/// Measures every operation.
class TimingOps final : public ObservedOps {
 public:
  /// @param inner  must outlive this
  explicit TimingOps(Ops& inner) : ObservedOps(inner) {}

  /// One row for each operation called so far, the most expensive first.
  std::vector<OpTiming> report() const;
  /// The sum of all rows, named "total".
  OpTiming total() const;
  void clear() { timings_.clear(); }

 private:
  void observe(const OpCall& call, const std::function<void()>& run) override;

  std::map<std::string, OpTiming, std::less<>> timings_;
};

}  // namespace flux2
