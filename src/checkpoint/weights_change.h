#pragma once

#include <string>

#include "checkpoint/checkpoint.h"
#include "tensor/weight.h"

namespace flux2 {

/// A change of some of a model's weights on their way from the checkpoint to the backend.
class WeightsChange {
 public:
  virtual ~WeightsChange() = default;
  /// Whether the tensor of that canonical name is changed.
  virtual bool changes(const std::string& name) const = 0;
  /// Such a tensor as it shall be loaded; of the same shape, all numbers finite where the
  /// checkpoint's are.
  virtual StoredTensor changed(const std::string& name, const Checkpoint& checkpoint) const = 0;
};

}  // namespace flux2
