#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/namings.h"
#include "tensor/shape.h"

namespace flux2 {

/// A weight that a module of an adapter changes: all of it by all of the module's rows, or by a
/// part of them where the module spans several weights.
struct ModuleTarget {
  std::string weight;    ///< canonical name of the tensor
  Shape shape;           ///< of the tensor
  RowPart part;          ///< of the module's rows
  bool swapped = false;  ///< the halves of the module's rows are the weight's in the other order
};

/// In the order of the module's rows.
using ModuleTargets = std::vector<ModuleTarget>;

/// Every name under which programs know the modules of one part of a model: Diffusers', BFL's,
/// those with underscores in place of dots, each behind any of the known prefixes.
class ModuleIndex {
 public:
  ModuleIndex() = default;
  /// @param tensors  of the model, by canonical names
  ModuleIndex(PartKind part, const TensorMap& tensors);

  PartKind part() const { return part_; }
  /// The weights of a module, by its name in an adapter; nullptr where it is none of this part's.
  const ModuleTargets* find(std::string_view module) const;
  /// Every spelling, without prefixes.
  const std::map<std::string, ModuleTargets, std::less<>>& modules() const { return modules_; }

 private:
  void add(std::string_view stored, ModuleTarget target);
  void add_rules(std::span<const NameRule> rules, const TensorMap& tensors);
  void add_underscored();
  const ModuleTargets* find_behind_prefixes(std::string_view module, int depth) const;

  PartKind part_ = PartKind::transformer;
  std::map<std::string, ModuleTargets, std::less<>> modules_;
};

/// The rows of a module: the sum of its weights' rows.
Shape shape_of(const ModuleTargets& targets);

}  // namespace flux2
