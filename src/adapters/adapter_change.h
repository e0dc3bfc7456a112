#pragma once

#include <memory>
#include <string>

#include "adapters/adapter.h"
#include "checkpoint/weights_change.h"

namespace flux2 {

/// The adapters of one part as a change of its weights: one after another, each does
///
///   V' = V + w s D                       without a magnitude
///   V' = m (V + w s D) / |W + w s D|     with one (DoRA)
///
/// where V is what those before it made of the weight W, D the adapter's difference, s = alpha /
/// rank, w its weight and |.| the length of each row or column. This is PEFT's arithmetic.
class AdapterChange : public WeightsChange {
 public:
  explicit AdapterChange(AdapterTerms terms) : terms_(std::move(terms)) {}

  bool changes(const std::string& name) const override { return terms_.contains(name); }
  StoredTensor changed(const std::string& name, const Checkpoint& checkpoint) const override;

 private:
  AdapterTerms terms_;
};

}  // namespace flux2
