#include "ops/checking_ops.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "flux2/error.h"

namespace flux2 {
namespace {

struct PairedWeight final : PreparedWeight {
  PairedWeight(Weight of_tested, Weight of_judge)
      : tested(std::move(of_tested)), judge(std::move(of_judge)) {}

  Weight tested;
  Weight judge;
};

Weight paired(const Weight& tested, const Weight& judge) {
  return {tested.shape(), std::make_shared<PairedWeight>(tested, judge)};
}

const PairedWeight& pair_of(const Weight& weight) {
  return weight.prepared<PairedWeight>();
}

// max|tested - judge| / max|judge|; infinity where only one of the two is finite.
double relative_difference(const std::vector<float>& tested, const std::vector<float>& judge) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  double difference = 0, magnitude = 0;
  for (std::size_t i = 0; i < judge.size(); ++i) {
    if (!std::isfinite(tested[i]) || !std::isfinite(judge[i])) {
      const bool same = tested[i] == judge[i] || (std::isnan(tested[i]) && std::isnan(judge[i]));
      if (!same) return kInfinity;
      continue;
    }
    const auto expected = static_cast<double>(judge[i]);
    difference = std::max(difference, std::fabs(static_cast<double>(tested[i]) - expected));
    magnitude = std::max(magnitude, std::fabs(expected));
  }
  if (difference == 0) return 0;
  return magnitude == 0 ? kInfinity : difference / magnitude;
}

}  // namespace

CheckingOps::CheckingOps(Ops& tested, Ops& judge, const CheckingOptions& options)
    : tested_(tested),
      judge_(judge),
      options_(options),
      name_(std::string(tested.name()) + " checked by " + std::string(judge.name())) {}

void CheckingOps::trim() {
  tested_.trim();
  judge_.trim();
}

Tensor CheckingOps::mirror(const Tensor& tensor) {
  if (!tensor.defined()) return {};
  return judge_.upload(tested_.download(tensor), Role::stream);
}

void CheckingOps::compare(const char* operation, const Tensor& tested, const Tensor& judge) {
  const double difference =
      relative_difference(to_vector(tested_.download(tested)), to_vector(judge_.download(judge)));
  OpDifference& entry = differences_[operation];
  ++entry.calls;
  if (difference > entry.largest || entry.worst.empty()) {
    entry.largest = difference;
    entry.worst = tested.shape().to_string();
  }
  if (difference <= options_.tolerance) return;
  ++entry.excesses;
  if (options_.on_excess == OnExcess::fail) {
    throw Error(ErrorCode::internal,
                fmt::format("a result of shape {} differs by {:.3g} of its largest element, more "
                            "than {:.3g}",
                            tested.shape().to_string(), difference, options_.tolerance),
                fmt::format("{} on {}", operation, name_));
  }
}

Weight CheckingOps::prepare_linear(std::span<const StoredTensor> row_blocks, const Tensor& bias,
                                   Sensitivity sensitivity) {
  return paired(tested_.prepare_linear(row_blocks, bias, sensitivity),
                judge_.prepare_linear(row_blocks, bias, sensitivity));
}

Weight CheckingOps::prepare_conv2d(const StoredTensor& kernel, const Tensor& bias) {
  return paired(tested_.prepare_conv2d(kernel, bias), judge_.prepare_conv2d(kernel, bias));
}

Weight CheckingOps::prepare_embedding(const StoredTensor& table) {
  return paired(tested_.prepare_embedding(table), judge_.prepare_embedding(table));
}

// In every operation the judge's inputs are copied first: the tested backend may update its own
// in place.

void CheckingOps::linear(const Tensor& x, const Weight& weight, const Tensor& out) {
  const Tensor expected = judge_.empty(out.shape(), Role::stream);
  judge_.linear(mirror(x), pair_of(weight).judge, expected);
  tested_.linear(x, pair_of(weight).tested, out);
  compare("linear", out, expected);
}

void CheckingOps::linear_add_gated(const Tensor& x, const Weight& weight, const Tensor& gate,
                                   const Tensor& residual) {
  const Tensor expected = mirror(residual);
  judge_.linear_add_gated(mirror(x), pair_of(weight).judge, mirror(gate), expected);
  tested_.linear_add_gated(x, pair_of(weight).tested, gate, residual);
  compare("linear_add_gated", residual, expected);
}

void CheckingOps::attention(const Tensor& q, const Tensor& k, const Tensor& v,
                            const AttentionMask& mask, const Tensor& out) {
  AttentionMask mirrored = mask;
  mirrored.bias = mirror(mask.bias);
  const Tensor expected = judge_.empty(out.shape(), Role::stream);
  judge_.attention(mirror(q), mirror(k), mirror(v), mirrored, expected);
  tested_.attention(q, k, v, mask, out);
  compare("attention", out, expected);
}

void CheckingOps::conv2d(const Tensor& x, const Weight& weight, const ConvGeometry& geometry,
                         const Tensor& out) {
  const Tensor expected = judge_.empty(out.shape(), Role::stream);
  judge_.conv2d(mirror(x), pair_of(weight).judge, geometry, expected);
  tested_.conv2d(x, pair_of(weight).tested, geometry, out);
  compare("conv2d", out, expected);
}

void CheckingOps::conv2d_add(const Tensor& x, const Weight& weight, const ConvGeometry& geometry,
                             const Tensor& residual) {
  const Tensor expected = mirror(residual);
  judge_.conv2d_add(mirror(x), pair_of(weight).judge, geometry, expected);
  tested_.conv2d_add(x, pair_of(weight).tested, geometry, residual);
  compare("conv2d_add", residual, expected);
}

void CheckingOps::upsample_conv2d(const Tensor& x, const Weight& weight, const Tensor& out) {
  const Tensor expected = judge_.empty(out.shape(), Role::stream);
  judge_.upsample_conv2d(mirror(x), pair_of(weight).judge, expected);
  tested_.upsample_conv2d(x, pair_of(weight).tested, out);
  compare("upsample_conv2d", out, expected);
}

void CheckingOps::adaln(const Tensor& x, const Tensor& scale, const Tensor& shift, float eps,
                        const Tensor& out) {
  const Tensor expected = judge_.empty(out.shape(), Role::stream);
  judge_.adaln(mirror(x), mirror(scale), mirror(shift), eps, expected);
  tested_.adaln(x, scale, shift, eps, out);
  compare("adaln", out, expected);
}

void CheckingOps::rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& out) {
  const Tensor expected = judge_.empty(out.shape(), Role::stream);
  judge_.rms_norm(mirror(x), mirror(weight), eps, expected);
  tested_.rms_norm(x, weight, eps, out);
  compare("rms_norm", out, expected);
}

void CheckingOps::rms_norm_rope(const Tensor& x, const Tensor& weight, float eps,
                                const RopeTable& rope, RopeLayout layout) {
  const Tensor expected = mirror(x);
  const RopeTable mirrored{mirror(rope.cos), mirror(rope.sin)};
  judge_.rms_norm_rope(expected, mirror(weight), eps, mirrored, layout);
  tested_.rms_norm_rope(x, weight, eps, rope, layout);
  compare("rms_norm_rope", x, expected);
}

void CheckingOps::group_norm(const Tensor& x, const GroupNorm& norm, Activation activation,
                             const Tensor& out) {
  GroupNorm mirrored = norm;
  mirrored.weight = mirror(norm.weight);
  mirrored.bias = mirror(norm.bias);
  const Tensor expected = judge_.empty(out.shape(), Role::stream);
  judge_.group_norm(mirror(x), mirrored, activation, expected);
  tested_.group_norm(x, norm, activation, out);
  compare("group_norm", out, expected);
}

void CheckingOps::swiglu(const Tensor& gate_up, const Tensor& out) {
  const Tensor expected = judge_.empty(out.shape(), Role::stream);
  judge_.swiglu(mirror(gate_up), expected);
  tested_.swiglu(gate_up, out);
  compare("swiglu", out, expected);
}

void CheckingOps::activate(const Tensor& x, Activation activation, const Tensor& out) {
  const Tensor expected = judge_.empty(out.shape(), Role::stream);
  judge_.activate(mirror(x), activation, expected);
  tested_.activate(x, activation, out);
  compare("activate", out, expected);
}

void CheckingOps::add_gated(const Tensor& y, const Tensor& gate, const Tensor& x) {
  const Tensor expected = mirror(x);
  judge_.add_gated(mirror(y), mirror(gate), expected);
  tested_.add_gated(y, gate, x);
  compare("add_gated", x, expected);
}

void CheckingOps::embedding(std::span<const std::int32_t> ids, const Weight& table,
                            const Tensor& out) {
  const Tensor expected = judge_.empty(out.shape(), Role::stream);
  judge_.embedding(ids, pair_of(table).judge, expected);
  tested_.embedding(ids, pair_of(table).tested, out);
  compare("embedding", out, expected);
}

void CheckingOps::upsample_nearest(const Tensor& x, const Tensor& out) {
  const Tensor expected = judge_.empty(out.shape(), Role::stream);
  judge_.upsample_nearest(mirror(x), expected);
  tested_.upsample_nearest(x, out);
  compare("upsample_nearest", out, expected);
}

void CheckingOps::copy(const Tensor& x, const Tensor& out) {
  const Tensor expected = judge_.empty(out.shape(), Role::stream);
  judge_.copy(mirror(x), expected);
  tested_.copy(x, out);
  compare("copy", out, expected);
}

}  // namespace flux2
