#pragma once

#include <memory>
#include <string>

#include "checkpoint/checkpoint.h"
#include "checkpoint/config_file.h"
#include "checkpoint/weights_table.h"

namespace flux2 {

/// The weights table of one part, for who needs its declarations and not the model: verifying,
/// converting, quantising.
class PartTable {
 public:
  /// @param config  the part's config.json, or what stands for it
  /// @throws Error bad_file: a config that does not fit its part
  PartTable(PartKind part, const ConfigFile& config, const Checkpoint& weights);

  const WeightsTable& table() const { return table_; }
  /// What the part cannot do because its files were cut on purpose; else empty.
  const std::string& limits() const { return limits_; }

 private:
  std::shared_ptr<void> targets_;  // what the table's entries point into
  WeightsTable table_;
  std::string limits_;
};

/// What a declared tensor is: "linear layer of the blocks", "linear layer", "bias", ...
/// @param name  one of `entry`
std::string role_of(const WeightsTable::Entry& entry, const std::string& name);

}  // namespace flux2
