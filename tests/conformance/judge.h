#pragma once

#include <functional>
#include <string>
#include <vector>

#include "conformance/backends.h"
#include "conformance/stage.h"
#include "conformance/tolerance.h"

namespace flux2::conformance {

/// How one case is run.
struct Variant {
  Placement placement = Placement::dense;
  Role inputs = Role::operand;
  Role output = Role::operand;
  int threads = 1;
};

/// One case of a suite.
struct Case {
  std::string name;
  /// Puts the inputs on the stage, calls the operation, returns what it wrote.
  std::function<Canvas(Stage& stage, const Variant& variant)> run;
  /// The largest error of each element of `expected`, before it is stored; empty: none at all.
  std::function<std::vector<double>(const Precision& precision, const std::vector<float>& expected)>
      error;
  DType weights = DType::bf16;  ///< storage type of its weights
};

/// The first variant with 1, 2 and 5 threads, the others with each in turn.
std::vector<Variant> with_threads(const std::vector<Variant>& variants);

/// Which cases a judge asks for.
enum class Scope { quick, full };

/// Runs cases on one backend and on the reference, and keeps what went wrong.
class Judge {
 public:
  explicit Judge(const Backend& backend, Scope scope = Scope::full);

  ComputeType compute() const { return compute_; }
  bool wants_large_cases() const { return scope_ == Scope::full; }
  Ops& ops() { return *ops_; }
  Ops& reference() { return *reference_; }

  /// Runs a case in every placement and combination of roles, with 1, 2 or 5 threads. With 2, it
  /// must give the same numbers twice.
  void check(const Case& test);
  /// Runs it in the given variants only.
  void check(const Case& test, const std::vector<Variant>& variants);
  /// Notes a failure that a suite found by itself.
  void expect(bool condition, const std::string& what);

  int checks() const { return checks_; }
  int failures() const { return failures_; }
  /// The largest |error| / allowed of all checks.
  double worst_ratio() const { return worst_ratio_; }
  /// The first failures, a line each.
  const std::string& report() const { return report_; }

 private:
  Precision precision_of(const Case& test, const Variant& variant, DType stored) const;
  std::vector<float> expected_of(const Case& test, const Variant& variant);
  void compare(const Case& test, const Variant& variant, const std::vector<float>& expected);
  void fail(const std::string& line);

  ComputeType compute_;
  Scope scope_;
  std::unique_ptr<Ops> ops_;
  std::unique_ptr<Ops> reference_;
  DType operands_;  ///< element type of Role::operand on the judged backend
  int checks_ = 0;
  int failures_ = 0;
  double worst_ratio_ = 0;
  std::string report_;
};

}  // namespace flux2::conformance
