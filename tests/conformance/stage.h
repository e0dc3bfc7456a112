#pragma once

#include <string>
#include <vector>

#include "conformance/values.h"
#include "ops/ops.h"

namespace flux2::conformance {

/// How the tensors of a case lie in memory.
enum class Placement {
  dense,    ///< by themselves, with a margin before and behind
  strided,  ///< a range of rows and columns of something larger, starting at an odd column
};

/// A tensor inside a larger one, whose other elements nobody may touch.
class Canvas {
 public:
  Canvas() = default;
  /// @param inside   elements of the view
  /// @param outside  every other element
  Canvas(Ops& ops, const Values& inside, float outside, Role role, Placement placement);

  const Tensor& view() const { return view_; }
  /// The elements of the view, row-major.
  std::vector<float> read(Ops& ops) const;
  /// True if every element outside of the view is still `outside`.
  bool margins_are(Ops& ops, float outside) const;

 private:
  Tensor inside_of(const Tensor& whole) const;

  Placement placement_ = Placement::dense;
  Shape shape_;
  Tensor whole_;
  Tensor view_;
};

/// What is around outputs; exact in bf16.
inline constexpr float kMargin = 12352.0f;

/// Puts a case's tensors on a backend: inputs surrounded by NaN, outputs poisoned with NaN and
/// surrounded by kMargin.
class Stage {
 public:
  /// @param operands  element type that the judged backend gives Role::operand: inputs of that role
  ///                  are rounded to it on any backend, so that both see the same numbers
  Stage(Ops& ops, Placement placement, DType operands)
      : ops_(ops), placement_(placement), operands_(operands) {}

  Ops& ops() { return ops_; }

  /// A token tensor [..., L, D] or [B, L, H, d], placed as the case wants it.
  Tensor input(const Values& values, Role role);
  /// A picture, vector or table: always dense.
  Tensor dense_input(const Values& values, Role role);

  Canvas output(const Shape& shape, Role role);
  Canvas dense_output(const Shape& shape, Role role);
  /// A tensor that the operation updates.
  Canvas in_place(const Values& values, Role role);
  Canvas dense_in_place(const Values& values, Role role);

 private:
  Canvas place(const Values& values, float outside, Role role, Placement placement);

  Ops& ops_;
  Placement placement_;
  DType operands_;
};

}  // namespace flux2::conformance
