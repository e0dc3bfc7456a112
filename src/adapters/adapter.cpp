#include "adapters/adapter.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "adapters/foreign.h"
#include "checkpoint/in_quotes.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

constexpr const char* kLenient = "or leave out what does not fit: --lora-lenient";

class Matcher {
 public:
  Matcher(const AdapterFile& adapter, const std::vector<ModuleIndex>& parts,
          const MatchOptions& options)
      : adapter_(adapter), parts_(parts), options_(options) {}

  MatchedAdapter run() {
    result_.modules = adapter_.modules.size();
    for (const auto& [name, module] : adapter_.modules)
      match(module);
    for (const std::string& key : adapter_.unread)
      leave_out(key, "has a form that is not understood");
    if (result_.matched == 0) refuse_all();
    result_.kind = kinds();
    return std::move(result_);
  }

 private:
  [[noreturn]] void refuse(const std::string& what, const std::string& hint) const {
    const std::string_view foreign = foreign_model(adapter_);
    if (foreign.empty()) throw Error(ErrorCode::bad_file, what, adapter_.file, hint);
    throw Error(ErrorCode::bad_file,
                fmt::format("is an adapter for {}, not for FLUX.2 ({})", foreign, what),
                adapter_.file, "get one that was trained on this model");
  }

  [[noreturn]] void refuse_all() const {
    if (adapter_.modules.empty()) refuse("holds no adapter", "give a LoRA, DoRA, LoKr or LoHa");
    refuse(fmt::format("none of its {} modules is one of this model: {}, ...", result_.modules,
                       in_quotes(adapter_.modules.begin()->first)),
           "get one that was trained on this model");
  }

  void leave_out(const std::string& key, const std::string& why) {
    if (options_.leniency == Leniency::strict) {
      refuse(fmt::format("{} {}", in_quotes(key), why), kLenient);
    }
    result_.left_out.push_back(key);
  }

  void match(const AdapterModule& module) {
    for (const ModuleIndex& part : parts_) {
      const ModuleTargets* targets = part.find(module.name);
      if (targets == nullptr) continue;
      if (module.tensors.empty()) return leave_out(module.name, "has an alpha and nothing else");
      return take(module, part.part(), *targets);
    }
    leave_out(module.name, "is no module of this model");
  }

  void take(const AdapterModule& module, PartKind part, const ModuleTargets& targets) {
    auto plan = std::make_shared<const DeltaPlan>(plan_delta(module, adapter_.file));
    const Shape wanted = shape_of(targets);
    if (!(plan->shape == wanted)) {
      return leave_out(module.name, fmt::format("changes a weight of {}, and this model's is {}: "
                                                "it was made for another one",
                                                plan->shape.to_string(), wanted.to_string()));
    }
    note_kind(*plan);
    const auto shared = std::make_shared<const ModuleTargets>(targets);
    for (std::size_t i = 0; i < targets.size(); ++i) {
      const bool swapped = targets[i].swapped && options_.adaln_rows == AdaLnRows::correct;
      std::vector<AdapterTerm>& terms = result_.terms[part][targets[i].weight];
      refuse_twice(terms, module);
      terms.push_back({plan, shared, i, swapped, 1});
    }
    ++result_.matched;
  }

  // q, k and v may have a part of a module each, but no weight is changed by two modules.
  void refuse_twice(const std::vector<AdapterTerm>& terms, const AdapterModule& module) const {
    if (terms.empty()) return;
    throw Error(ErrorCode::bad_file,
                fmt::format("modules {} and {} change the same weight",
                            in_quotes(terms.front().plan->module), in_quotes(module.name)),
                adapter_.file, "the file holds two adapters: take them apart");
  }

  void note_kind(const DeltaPlan& plan) {
    kinds_.insert(kind_of(plan));
    for (const AdapterFactor& factor : plan.factors) {
      least_rank_ = std::min(least_rank_, factor.rank);
      most_rank_ = std::max(most_rank_, factor.rank);
    }
  }

  std::string kinds() const {
    std::string text = fmt::format("{}", fmt::join(kinds_, ", "));
    if (most_rank_ == 0) return text;
    if (least_rank_ == most_rank_) return text + fmt::format(" of rank {}", most_rank_);
    return text + fmt::format(" of rank up to {}", most_rank_);
  }

  const AdapterFile& adapter_;
  const std::vector<ModuleIndex>& parts_;
  const MatchOptions& options_;
  MatchedAdapter result_;
  std::set<std::string> kinds_;
  std::int64_t least_rank_ = std::int64_t{1} << 40;
  std::int64_t most_rank_ = 0;
};

}  // namespace

MatchedAdapter match_adapter(const AdapterFile& adapter, const std::vector<ModuleIndex>& parts,
                             const MatchOptions& options) {
  return Matcher(adapter, parts, options).run();
}

}  // namespace flux2
