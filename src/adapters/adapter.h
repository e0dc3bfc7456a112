#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "adapters/adapter_file.h"
#include "adapters/delta_plan.h"
#include "adapters/module_index.h"

namespace flux2 {

/// What one module of an adapter does to one weight.
struct AdapterTerm {
  std::shared_ptr<const DeltaPlan> plan;
  std::shared_ptr<const ModuleTargets> targets;  ///< all weights of the module
  std::size_t target = 0;                        ///< this one
  bool swapped = false;  ///< the rows of the module are the weight's with their halves swapped
  double weight = 1;     ///< how strongly
};

/// By the canonical name of the weight.
using AdapterTerms = std::map<std::string, std::vector<AdapterTerm>>;

/// What becomes of a key that is not understood, or of a module that does not fit.
enum class Leniency {
  strict,   ///< an error
  lenient,  ///< it is left out
};

/// Whose order the rows of the last modulation are taken in, where BFL's name for it is used.
enum class AdaLnRows {
  correct,    ///< BFL's own, shift before scale: their halves are swapped
  reference,  ///< as Diffusers takes them: unchanged
};

struct MatchOptions {
  Leniency leniency = Leniency::strict;
  AdaLnRows adaln_rows = AdaLnRows::correct;
};

/// An adapter that has been held against a model.
struct MatchedAdapter {
  std::map<PartKind, AdapterTerms> terms;  ///< of weight 1
  std::string kind;                        ///< "LoRA of rank 16", "LoKr", ...
  std::size_t matched = 0;                 ///< modules that fit
  std::size_t modules = 0;                 ///< in the file
  std::vector<std::string> left_out;       ///< keys and modules, where that is allowed
};

/// @param parts  of the model, the transformer first
/// @throws Error bad_file: no module fits; a key that is not understood or a module that does not
///         fit, unless lenient; says what the adapter was made for where that can be told
MatchedAdapter match_adapter(const AdapterFile& adapter, const std::vector<ModuleIndex>& parts,
                             const MatchOptions& options);

}  // namespace flux2
