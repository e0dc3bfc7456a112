#include "conformance/judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "backends/reference/reference_ops.h"
#include "base/parallel.h"

namespace flux2::conformance {
namespace {

constexpr int kReportedFailures = 12;

std::string describe(const Case& test, const Variant& variant) {
  return fmt::format("{} ({}, {} inputs, {} output, {} threads)", test.name,
                     variant.placement == Placement::dense ? "dense" : "strided",
                     variant.inputs == Role::operand ? "operand" : "stream",
                     variant.output == Role::operand ? "operand" : "stream", variant.threads);
}

// Sets the thread count for a scope.
class Threads {
 public:
  explicit Threads(int count) : before_(thread_count()) { set_thread_count(count); }
  ~Threads() { set_thread_count(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

// Equal bit for bit, but for the sign of zero and the payload of NaN.
bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](float x, float y) { return x == y || (std::isnan(x) && std::isnan(y)); });
}

}  // namespace

std::vector<Variant> with_threads(const std::vector<Variant>& variants) {
  constexpr int kCounts[] = {1, 2, 5};
  std::vector<Variant> result;
  for (std::size_t i = 0; i < variants.size(); ++i) {
    for (std::size_t t = 0; t < std::size(kCounts); ++t) {
      if (i != 0 && i % std::size(kCounts) != t) continue;
      result.push_back(variants[i]);
      result.back().threads = kCounts[t];
    }
  }
  return result;
}

Judge::Judge(const Backend& backend, Scope scope)
    : compute_(backend.compute),
      scope_(scope),
      ops_(backend.make()),
      reference_(make_reference_ops()),
      operands_(ops_->empty({1}, Role::operand).dtype()) {}

void Judge::check(const Case& test) {
  std::vector<Variant> variants;
  for (const Role inputs : {Role::operand, Role::stream}) {
    for (const Role output : {Role::operand, Role::stream}) {
      for (const Placement placement : {Placement::dense, Placement::strided})
        variants.push_back({placement, inputs, output});
    }
  }
  check(test, with_threads(variants));
}

void Judge::check(const Case& test, const std::vector<Variant>& variants) {
  std::vector<float> expected;
  const Variant* shown = nullptr;
  for (const Variant& variant : variants) {
    if (shown == nullptr || shown->inputs != variant.inputs || shown->output != variant.output) {
      expected = expected_of(test, variant);
      shown = &variant;
    }
    compare(test, variant, expected);
  }
}

std::vector<float> Judge::expected_of(const Case& test, const Variant& variant) {
  Stage stage(*reference_, Placement::dense, operands_);
  return test.run(stage, variant).read(*reference_);
}

Precision Judge::precision_of(const Case& test, const Variant& variant, DType stored) const {
  const bool bf16 = compute_ == ComputeType::bf16;
  const double u = roundoff(DType::bf16);
  const bool weights_fit = test.weights != DType::f32 && test.weights != DType::f16;
  return {.products = bf16 ? u : 0,
          .operands = bf16 && variant.inputs == Role::stream ? u : 0,
          .weights = bf16 && !weights_fit ? u : 0,
          .stored = roundoff(stored)};
}

void Judge::compare(const Case& test, const Variant& variant, const std::vector<float>& expected) {
  const Threads threads(variant.threads);
  ++checks_;
  Stage stage(*ops_, variant.placement, operands_);
  const Canvas canvas = test.run(stage, variant);
  const std::vector<float> result = canvas.read(*ops_);
  const std::string name = describe(test, variant);
  if (!canvas.margins_are(*ops_, kMargin)) fail(name + ": wrote outside of its output");

  const DType stored = canvas.view().dtype();
  const Precision precision = precision_of(test, variant, stored);
  const std::vector<double> errors =
      test.error ? test.error(precision, expected) : std::vector<double>();
  if (result.size() != expected.size()) return fail(name + ": wrong number of elements");
  std::size_t wrong = 0, first = 0;
  double allowed_there = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    // An operation that only moves numbers must give exactly the stored form of each.
    const double target = errors.empty() && stored == DType::bf16
                              ? static_cast<double>(round_to_bf16(expected[i]))
                              : static_cast<double>(expected[i]);
    const double allowed = errors.empty() ? 0 : after_storing(precision, target, errors[i]);
    const double distance = std::fabs(static_cast<double>(result[i]) - target);
    if (allowed > 0) worst_ratio_ = std::max(worst_ratio_, distance / allowed);
    if (distance <= allowed) continue;
    if (wrong++ == 0) {
      first = i;
      allowed_there = allowed;
    }
  }
  if (wrong > 0) {
    fail(fmt::format("{}: {} of {} elements wrong, first [{}] = {} instead of {}, allowed {:.3g}",
                     name, wrong, expected.size(), first, result[first], expected[first],
                     allowed_there));
  }
  if (variant.threads != 2) return;
  Stage again(*ops_, variant.placement, operands_);
  if (!same(result, test.run(again, variant).read(*ops_))) {
    fail(name + ": a second run gave other numbers");
  }
}

void Judge::expect(bool condition, const std::string& what) {
  ++checks_;
  if (!condition) fail(what);
}

void Judge::fail(const std::string& line) {
  if (++failures_ <= kReportedFailures) report_ += line + "\n";
}

}  // namespace flux2::conformance
