#include "adapters/delta_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "checkpoint/in_quotes.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

using Role = AdapterRole;

// Larger than any dimension of a weight, and small enough that two of them can be multiplied.
constexpr std::int64_t kMostDimension = std::int64_t{1} << 30;
constexpr std::int64_t kMostRank = 1 << 14;

// Takes the tensors of a module one by one; what is left over belongs to no known form.
class Planner {
 public:
  Planner(const AdapterModule& module, const std::string& file) : module_(module), file_(file) {
    plan_.module = module.name;
  }

  DeltaPlan run() {
    if (module_.find(Role::diff) != nullptr) {
      plan_whole();
    } else if (module_.find(Role::up) != nullptr || module_.find(Role::down) != nullptr) {
      plan_.factors.push_back(product(Role::up, Role::down, Role::mid));
      scale_by(plan_.factors[0].rank);
    } else if (has_any({Role::hada_w1_a, Role::hada_w1_b, Role::hada_w2_a, Role::hada_w2_b})) {
      plan_loha();
    } else {
      plan_lokr();
    }
    take_magnitude();
    for (const auto& [role, tensor] : module_.tensors) {
      if (!taken_.contains(role)) refuse(tensor, "does not belong to the tensors beside it");
    }
    return std::move(plan_);
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw Error(ErrorCode::bad_file, fmt::format("module {} {}", in_quotes(module_.name), what),
                file_, "the adapter is damaged or incomplete: get it again");
  }
  [[noreturn]] void refuse(const StoredTensor& tensor, const std::string& what) const {
    throw Error(
        ErrorCode::bad_file,
        fmt::format("tensor {} {} {}", in_quotes(tensor.name), tensor.shape.to_string(), what),
        file_, "the adapter is damaged or incomplete: get it again");
  }

  bool has_any(std::initializer_list<Role> roles) const {
    for (const Role role : roles)
      if (module_.find(role) != nullptr) return true;
    return false;
  }

  const StoredTensor* take(Role role) {
    const StoredTensor* tensor = module_.find(role);
    if (tensor != nullptr) taken_.insert(role);
    return tensor;
  }

  // As a matrix; a convolution of one pixel is one too.
  StoredTensor matrix(const StoredTensor& tensor) const {
    StoredTensor result = tensor;
    const Shape& shape = tensor.shape;
    bool flat = shape.rank() >= 2 && shape[0] <= kMostDimension && shape[1] <= kMostDimension;
    for (int axis = 2; axis < shape.rank(); ++axis)
      flat = flat && shape[axis] == 1;
    if (!flat) refuse(tensor, "is no matrix");
    result.shape = {shape[0], shape[1]};
    return result;
  }

  StoredTensor required(Role role, const char* name) {
    const StoredTensor* tensor = take(role);
    if (tensor == nullptr) refuse(fmt::format("has no {}", name));
    return matrix(*tensor);
  }

  AdapterFactor whole(const StoredTensor& tensor) const {
    AdapterFactor factor;
    factor.whole = matrix(tensor);
    factor.rows = factor.whole->shape[0];
    factor.columns = factor.whole->shape[1];
    return factor;
  }

  AdapterFactor product(Role up, Role down, Role mid) {
    AdapterFactor factor;
    factor.up = required(up, "up (B, w_a) factor");
    factor.down = required(down, "down (A, w_b) factor");
    factor.rank = factor.down->shape[0];
    factor.rows = factor.up->shape[0];
    factor.columns = factor.down->shape[1];
    std::int64_t inner = factor.up->shape[1];
    if (const StoredTensor* middle = take(mid)) {
      factor.mid = matrix(*middle);
      // Tucker's factors of LyCORIS are [r, out]; those of LoCon are [out, r].
      factor.up_transposed = mid != Role::mid;
      if (factor.up_transposed) std::swap(factor.rows, inner);
      if (factor.mid->shape[0] != inner || factor.mid->shape[1] != factor.rank) {
        refuse(*middle, "does not fit the factors beside it");
      }
    } else if (inner != factor.rank) {
      refuse(*factor.up, fmt::format("does not fit {}", factor.down->shape.to_string()));
    }
    if (std::max(factor.rank, inner) > kMostRank) refuse(*factor.down, "has too high a rank");
    return factor;
  }

  void scale_by(std::int64_t rank) {
    if (module_.alpha && rank > 0) plan_.scale = *module_.alpha / static_cast<double>(rank);
    plan_.shape = {plan_.factors[0].rows, plan_.factors[0].columns};
  }

  void plan_whole() {
    const StoredTensor& diff = *take(Role::diff);
    if (diff.shape.rank() == 1) {
      AdapterFactor factor;
      factor.whole = diff;
      factor.rows = diff.shape[0];
      factor.columns = 1;
      plan_.factors.push_back(std::move(factor));
      plan_.shape = diff.shape;
    } else {
      plan_.factors.push_back(whole(diff));
      plan_.shape = plan_.factors[0].whole->shape;
    }
  }

  void plan_loha() {
    plan_.kind = DeltaKind::hadamard;
    plan_.factors.push_back(product(Role::hada_w1_a, Role::hada_w1_b, Role::hada_t1));
    plan_.factors.push_back(product(Role::hada_w2_a, Role::hada_w2_b, Role::hada_t2));
    const AdapterFactor& first = plan_.factors[0];
    const AdapterFactor& second = plan_.factors[1];
    if (first.rows != second.rows || first.columns != second.columns) {
      refuse(*second.up, fmt::format("does not fit {}", first.up->shape.to_string()));
    }
    scale_by(plan_.factors[0].rank);
  }

  // LyCORIS: alpha counts only where a factor is itself a product, whose rank it is divided by.
  void plan_lokr() {
    plan_.kind = DeltaKind::kronecker;
    const StoredTensor* w1 = take(Role::lokr_w1);
    plan_.factors.push_back(w1 != nullptr ? whole(*w1)
                                          : product(Role::lokr_w1_a, Role::lokr_w1_b, Role::mid));
    const StoredTensor* w2 = take(Role::lokr_w2);
    plan_.factors.push_back(
        w2 != nullptr ? whole(*w2) : product(Role::lokr_w2_a, Role::lokr_w2_b, Role::lokr_t2));
    const AdapterFactor& left = plan_.factors[0];
    const AdapterFactor& right = plan_.factors[1];
    scale_by(right.rank > 0 ? right.rank : left.rank);
    plan_.shape = {left.rows * right.rows, left.columns * right.columns};
  }

  void take_magnitude() {
    const StoredTensor* tensor = take(Role::magnitude);
    if (tensor == nullptr) return;
    const Shape& shape = tensor->shape;
    const std::int64_t out = plan_.shape[0];
    const std::int64_t in = plan_.shape.rank() == 2 ? plan_.shape[1] : 1;
    plan_.by_columns = shape.rank() == 2 && shape[0] == 1 && shape[1] == in && out != 1;
    const std::int64_t wanted = plan_.by_columns ? in : out;
    if (plan_.shape.rank() != 2 || shape.elements() != wanted ||
        (!plan_.by_columns && shape[0] != out)) {
      refuse(*tensor, "has not the length of the weight's rows or columns");
    }
    plan_.magnitude = *tensor;
    plan_.magnitude->shape = {wanted};
  }

  const AdapterModule& module_;
  const std::string& file_;
  DeltaPlan plan_;
  std::set<Role> taken_;
};

}  // namespace

std::string kind_of(const DeltaPlan& plan) {
  if (plan.magnitude) return "DoRA";
  switch (plan.kind) {
    case DeltaKind::hadamard:
      return "LoHa";
    case DeltaKind::kronecker:
      return "LoKr";
    case DeltaKind::product:
      break;
  }
  return plan.factors[0].whole ? "full difference" : "LoRA";
}

DeltaPlan plan_delta(const AdapterModule& module, const std::string& file) {
  return Planner(module, file).run();
}

}  // namespace flux2
