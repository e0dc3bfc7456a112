#include "conformance/stage.h"

#include <algorithm>
#include <limits>

namespace flux2::conformance {
namespace {

constexpr float kPoison = std::numeric_limits<float>::quiet_NaN();

// Margins: an odd number of columns before, so that rows start at odd addresses.
constexpr std::int64_t kColumnsBefore = 3, kColumnsBehind = 6;
constexpr std::int64_t kRowsBefore = 1, kRowsBehind = 2;
constexpr std::int64_t kElementsAround = 64;

// [B, L, H, d] is stored as rows of H d columns.
Shape row_shape(const Shape& shape) {
  return shape.rank() == 4 ? Shape{shape[0], shape[1], shape[2] * shape[3]} : shape;
}

Shape whole_shape(const Shape& shape, Placement placement) {
  if (placement == Placement::dense) return {shape.elements() + 2 * kElementsAround};
  Shape whole = row_shape(shape);
  whole.set(-1, whole[-1] + kColumnsBefore + kColumnsBehind);
  if (whole.rank() > 1) whole.set(-2, whole[-2] + kRowsBefore + kRowsBehind);
  return whole;
}

Values constant(const Shape& shape, float number) {
  return {shape, std::vector<float>(static_cast<std::size_t>(shape.elements()), number)};
}

void store(const Tensor& host, const std::vector<float>& numbers) {
  if (host.rank() == 1) {
    std::copy(numbers.begin(), numbers.end(), host.f32());
    return;
  }
  const std::size_t part =
      numbers.size() / static_cast<std::size_t>(std::max<std::int64_t>(1, host.dim(0)));
  for (std::int64_t i = 0; i < host.dim(0); ++i) {
    const auto begin = numbers.begin() + i * static_cast<std::int64_t>(part);
    store(host[i], std::vector<float>(begin, begin + static_cast<std::int64_t>(part)));
  }
}

}  // namespace

Canvas::Canvas(Ops& ops, const Values& inside, float outside, Role role, Placement placement)
    : placement_(placement), shape_(inside.shape) {
  const Shape whole = whole_shape(shape_, placement_);
  const Tensor host = make_host_tensor(whole, constant(whole, outside).numbers);
  store(inside_of(host), inside.numbers);
  whole_ = ops.empty(whole, role);
  ops.copy(ops.upload(host, role), whole_);
  view_ = inside_of(whole_);
}

Tensor Canvas::inside_of(const Tensor& whole) const {
  if (placement_ == Placement::dense) {
    return whole.slice(0, kElementsAround, shape_.elements()).view(shape_);
  }
  Tensor view = whole.slice(-1, kColumnsBefore, row_shape(shape_)[-1]);
  if (whole.rank() > 1) view = view.slice(-2, kRowsBefore, row_shape(shape_)[-2]);
  return view.view(shape_);
}

std::vector<float> Canvas::read(Ops& ops) const {
  return to_vector(inside_of(ops.download(whole_)));
}

bool Canvas::margins_are(Ops& ops, float outside) const {
  const Tensor host = ops.download(whole_);
  store(inside_of(host), constant(shape_, outside).numbers);
  const std::vector<float> numbers = to_vector(host);
  return std::all_of(numbers.begin(), numbers.end(),
                     [outside](float number) { return number == outside; });
}

Canvas Stage::place(const Values& values, float outside, Role role, Placement placement) {
  const Values rounded = role == Role::operand ? rounded_to(values, operands_) : values;
  return {ops_, rounded, outside, role, placement};
}

Tensor Stage::input(const Values& values, Role role) {
  return place(values, kPoison, role, placement_).view();
}
Tensor Stage::dense_input(const Values& values, Role role) {
  return place(values, kPoison, role, Placement::dense).view();
}
Canvas Stage::output(const Shape& shape, Role role) {
  return place(constant(shape, kPoison), kMargin, role, placement_);
}
Canvas Stage::dense_output(const Shape& shape, Role role) {
  return place(constant(shape, kPoison), kMargin, role, Placement::dense);
}
Canvas Stage::in_place(const Values& values, Role role) {
  return place(values, kMargin, role, placement_);
}
Canvas Stage::dense_in_place(const Values& values, Role role) {
  return place(values, kMargin, role, Placement::dense);
}

}  // namespace flux2::conformance
