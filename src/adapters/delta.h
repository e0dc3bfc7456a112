#pragma once

#include <cstdint>
#include <memory>

#include "adapters/delta_plan.h"

namespace flux2 {

/// The difference D of a weight, ready to be added. Safe for several threads.
class Delta {
 public:
  virtual ~Delta() = default;
  /// rows += scale * D[begin, begin + count).   rows [count, in], dense
  virtual void add(std::int64_t begin, std::int64_t count, float scale, float* rows) const = 0;
};

/// Reads the tensors of `plan`. Its own scale is left to whoever adds.
std::unique_ptr<const Delta> make_delta(const DeltaPlan& plan);

}  // namespace flux2
