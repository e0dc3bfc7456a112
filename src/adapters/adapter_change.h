#pragma once

#include <memory>
#include <string>

#include "adapters/adapter.h"
#include "checkpoint/weights_change.h"

namespace flux2 {

/// The adapters of one part as a change of its weights:
///
///   W' = W + sum over adapters of  w s D                                without a magnitude
///                                  m (W + w s D) / |W + w s D| - W      with one (DoRA)
///
/// where D is the adapter's difference, s = alpha / rank, w its weight, and |.| the length of each
/// row or column. DoRA is PEFT's: every adapter starts from W, and w counts inside the length.
class AdapterChange : public WeightsChange {
 public:
  explicit AdapterChange(AdapterTerms terms) : terms_(std::move(terms)) {}

  bool changes(const std::string& name) const override { return terms_.contains(name); }
  StoredTensor changed(const std::string& name, const Checkpoint& checkpoint) const override;

 private:
  AdapterTerms terms_;
};

}  // namespace flux2
