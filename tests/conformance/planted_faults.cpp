#include "conformance/planted_faults.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "backends/reference/reference_ops.h"
#include "ops/observed_ops.h"

namespace flux2::conformance {
namespace {

// The reference, owned, with Role::operand tensors of another type.
class SoundOps : private std::unique_ptr<Ops>, public ObservedOps {
 public:
  explicit SoundOps(DType operands)
      : std::unique_ptr<Ops>(make_reference_ops()),
        ObservedOps(*static_cast<std::unique_ptr<Ops>&>(*this)),
        operands_(operands) {}

  Tensor empty(const Shape& shape, Role role) override {
    return role == Role::operand ? make_host_tensor(shape, operands_)
                                 : make_host_tensor(shape, DType::f32);
  }
  Tensor upload(const Tensor& host, Role role) override {
    Tensor tensor = empty(host.shape(), role);
    inner().copy(host, tensor);
    return tensor;
  }

 protected:
  void observe(const OpCall&, const std::function<void()>& run) override { run(); }

 private:
  DType operands_;
};

// `tensor` without the last `count` indices of `axis`.
Tensor without_last(const Tensor& tensor, int axis, std::int64_t count = 1) {
  return tensor.slice(axis, 0, std::max<std::int64_t>(1, tensor.dim(axis) - count));
}

// An f32 copy with the last column zeroed.
Tensor last_column_dropped(Ops& ops, const Tensor& x) {
  const Tensor copy = ops.download(x);
  std::vector<float> numbers = to_vector(copy);
  const auto width = static_cast<std::size_t>(x.dim(-1));
  for (std::size_t i = width - 1; i < numbers.size(); i += width)
    numbers[i] = 0;
  return make_host_tensor(x.shape(), numbers);
}

struct DropsLastProduct final : SoundOps {
  using SoundOps::SoundOps;
  void linear(const Tensor& x, const Weight& weight, const Tensor& out) override {
    inner().linear(last_column_dropped(inner(), x), weight, out);
  }
};

struct DropsLastChannel final : SoundOps {
  using SoundOps::SoundOps;
  void conv2d(const Tensor& x, const Weight& weight, const ConvGeometry& geometry,
              const Tensor& out) override {
    inner().conv2d(last_column_dropped(inner(), x), weight, geometry, out);
  }
};

// One element of many is off by a hundredth.
struct SpoilsOneElement final : SoundOps {
  using SoundOps::SoundOps;
  void linear(const Tensor& x, const Weight& weight, const Tensor& out) override {
    inner().linear(x, weight, out);
    Tensor row = out;
    while (row.rank() > 1)
      row = row[row.dim(0) - 1];
    const Tensor one = row.slice(0, row.dim(0) - 1, 1);
    inner().copy(make_host_tensor({1}, std::vector<float>{to_vector(one)[0] * 1.01f}), one);
  }
};

struct IgnoresGate final : SoundOps {
  using SoundOps::SoundOps;
  void linear_add_gated(const Tensor& x, const Weight& weight, const Tensor&,
                        const Tensor& residual) override {
    inner().linear_add_gated(x, weight, {}, residual);
  }
};

struct DropsLastKey final : SoundOps {
  using SoundOps::SoundOps;
  void attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask,
                 const Tensor& out) override {
    if (mask.keys.empty() && mask.causality == Causality::full && !mask.bias.defined()) {
      return inner().attention(q, without_last(k, 1), without_last(v, 1), mask, out);
    }
    inner().attention(q, k, v, mask, out);
  }
};

struct CausalFromTheTop final : SoundOps {
  using SoundOps::SoundOps;
  void attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask,
                 const Tensor& out) override {
    const std::int64_t keys = std::min(q.dim(1), k.dim(1));
    if (mask.causality == Causality::full || !mask.keys.empty() || keys < q.dim(1)) {
      return inner().attention(q, k, v, mask, out);
    }
    inner().attention(q, k.slice(1, 0, keys), v.slice(1, 0, keys), mask, out);
  }
};

struct IgnoresKeyRanges final : SoundOps {
  using SoundOps::SoundOps;
  void attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask,
                 const Tensor& out) override {
    AttentionMask open = mask;
    for (KeyRange& range : open.keys)
      range.end = std::min(k.dim(1), range.end + 1);
    inner().attention(q, k, v, open, out);
  }
};

struct SharesOneBias final : SoundOps {
  using SoundOps::SoundOps;
  void attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask,
                 const Tensor& out) override {
    AttentionMask shared = mask;
    if (mask.bias.defined()) shared.bias = mask.bias.slice(0, 0, 1);
    inner().attention(q, k, v, shared, out);
  }
};

struct PadsTheOtherSide final : SoundOps {
  using SoundOps::SoundOps;
  void conv2d(const Tensor& x, const Weight& weight, const ConvGeometry& geometry,
              const Tensor& out) override {
    ConvGeometry turned = geometry;
    std::swap(turned.pad_top, turned.pad_bottom);
    std::swap(turned.pad_left, turned.pad_right);
    inner().conv2d(x, weight, turned, out);
  }
};

struct UpsamplesFromTheOtherRow final : SoundOps {
  using SoundOps::SoundOps;
  void upsample_conv2d(const Tensor& x, const Weight& weight, const Tensor& out) override {
    const Tensor doubled =
        inner().empty({x.dim(0), out.dim(1), out.dim(2), x.dim(3)}, Role::operand);
    inner().upsample_nearest(x, doubled);
    const ConvGeometry shifted = {.stride = 1, .pad_top = 2, .pad_bottom = 0};
    inner().conv2d(doubled, weight, shifted, out);
  }
};

struct OverwritesResidual final : SoundOps {
  using SoundOps::SoundOps;
  void conv2d_add(const Tensor& x, const Weight& weight, const ConvGeometry& geometry,
                  const Tensor& residual) override {
    inner().conv2d(x, weight, geometry, residual);
  }
};

struct SwapsScaleAndShift final : SoundOps {
  using SoundOps::SoundOps;
  void adaln(const Tensor& x, const Tensor& scale, const Tensor& shift, float eps,
             const Tensor& out) override {
    inner().adaln(x, shift, scale, eps, out);
  }
};

// E[x^2] - E[x]^2 in float, which cancels where the mean is far from zero.
struct OnePassVariance final : SoundOps {
  using SoundOps::SoundOps;
  void adaln(const Tensor& x, const Tensor& scale, const Tensor& shift, float eps,
             const Tensor& out) override {
    std::vector<float> numbers = to_vector(x);
    const std::vector<float> scales = to_vector(scale), shifts = to_vector(shift);
    const auto width = static_cast<std::size_t>(x.dim(2));
    const std::size_t sample = static_cast<std::size_t>(x.dim(1)) * width;
    for (std::size_t row = 0; row < numbers.size(); row += width) {
      float sum = 0, squares = 0;
      for (std::size_t j = row; j < row + width; ++j) {
        sum += numbers[j];
        squares += numbers[j] * numbers[j];
      }
      const float mean = sum / static_cast<float>(width);
      const float variance = std::max(0.0f, squares / static_cast<float>(width) - mean * mean);
      for (std::size_t j = 0; j < width; ++j) {
        const std::size_t m = row / sample * width + j;
        const float normal = (numbers[row + j] - mean) / std::sqrt(variance + eps);
        numbers[row + j] = (1.0f + scales[m]) * normal + shifts[m];
      }
    }
    inner().copy(make_host_tensor(x.shape(), numbers), out);
  }
};

struct ForgetsEps final : SoundOps {
  using SoundOps::SoundOps;
  void rms_norm(const Tensor& x, const Tensor& weight, float, const Tensor& out) override {
    inner().rms_norm(x, weight, 0.0f, out);
  }
};

struct OtherRopeLayout final : SoundOps {
  using SoundOps::SoundOps;
  void rms_norm_rope(const Tensor& x, const Tensor& weight, float eps, const RopeTable& rope,
                     RopeLayout layout) override {
    const bool halves = layout == RopeLayout::halves;
    inner().rms_norm_rope(x, weight, eps, rope, halves ? RopeLayout::pairs : RopeLayout::halves);
  }
};

struct RotatesBackwards final : SoundOps {
  using SoundOps::SoundOps;
  void rms_norm_rope(const Tensor& x, const Tensor& weight, float eps, const RopeTable& rope,
                     RopeLayout layout) override {
    std::vector<float> sines = to_vector(rope.sin);
    for (float& sine : sines)
      sine = -sine;
    inner().rms_norm_rope(x, weight, eps, {rope.cos, make_host_tensor(rope.sin.shape(), sines)},
                          layout);
  }
};

struct HalvesGroups final : SoundOps {
  using SoundOps::SoundOps;
  void group_norm(const Tensor& x, const GroupNorm& norm, Activation activation,
                  const Tensor& out) override {
    GroupNorm other = norm;
    if (norm.groups % 2 == 0) other.groups /= 2;
    inner().group_norm(x, other, activation, out);
  }
};

struct ForgetsActivation final : SoundOps {
  using SoundOps::SoundOps;
  void group_norm(const Tensor& x, const GroupNorm& norm, Activation, const Tensor& out) override {
    inner().group_norm(x, norm, Activation::none, out);
  }
};

struct GatesTheOtherHalf final : SoundOps {
  using SoundOps::SoundOps;
  void swiglu(const Tensor& gate_up, const Tensor& out) override {
    const std::int64_t width = out.dim(-1);
    const Tensor turned = inner().empty(gate_up.shape(), Role::stream);
    inner().copy(gate_up.slice(-1, width, width), turned.slice(-1, 0, width));
    inner().copy(gate_up.slice(-1, 0, width), turned.slice(-1, width, width));
    inner().swiglu(turned, out);
  }
};

// The tanh approximation of gelu, at most 5e-4 away.
struct ApproximatesGelu final : SoundOps {
  using SoundOps::SoundOps;
  void activate(const Tensor& x, Activation activation, const Tensor& out) override {
    if (activation != Activation::gelu) return inner().activate(x, activation, out);
    std::vector<float> numbers = to_vector(x);
    for (float& number : numbers) {
      const auto a = static_cast<double>(number);
      const double inside = std::sqrt(2.0 / std::numbers::pi) * (a + 0.044715 * a * a * a);
      number = static_cast<float>(0.5 * a * (1.0 + std::tanh(inside)));
    }
    inner().copy(make_host_tensor(x.shape(), numbers), out);
  }
};

struct GatesOnlyTheFirst final : SoundOps {
  using SoundOps::SoundOps;
  void add_gated(const Tensor& y, const Tensor& gate, const Tensor& x) override {
    if (!gate.defined()) return inner().add_gated(y, gate, x);
    for (std::int64_t b = 0; b < x.dim(0); ++b)
      inner().add_gated(y.slice(0, b, 1), gate.slice(0, 0, 1), x.slice(0, b, 1));
  }
};

struct NextRow final : SoundOps {
  using SoundOps::SoundOps;
  void embedding(std::span<const std::int32_t> ids, const Weight& table,
                 const Tensor& out) override {
    std::vector<std::int32_t> others(ids.begin(), ids.end());
    for (std::int32_t& id : others)
      id = id + 1 < static_cast<std::int32_t>(table.shape()[0]) ? id + 1 : 0;
    inner().embedding(others, table, out);
  }
};

// Turns a picture upside down on the way.
struct Flips final : SoundOps {
  using SoundOps::SoundOps;
  void upsample_nearest(const Tensor& x, const Tensor& out) override {
    const Tensor turned = inner().empty(x.shape(), Role::stream);
    for (std::int64_t y = 0; y < x.dim(1); ++y)
      inner().copy(x.slice(1, y, 1), turned.slice(1, x.dim(1) - 1 - y, 1));
    inner().upsample_nearest(turned, out);
  }
};

struct MissesLastRow final : SoundOps {
  using SoundOps::SoundOps;
  void copy(const Tensor& x, const Tensor& out) override {
    // The stage itself copies whole canvases, which have one row more than any case.
    if (x.rank() != 3 || x.is_dense()) return inner().copy(x, out);
    inner().copy(without_last(x, 1), without_last(out, 1));
  }
};

// Stores one element behind the row.
struct WritesPastTheEnd final : SoundOps {
  using SoundOps::SoundOps;
  void swiglu(const Tensor& gate_up, const Tensor& out) override {
    inner().swiglu(gate_up, out);
    if (out.dtype() == DType::f32) out.f32()[(out.dim(1) - 1) * out.stride(1) + out.dim(2)] = 0;
  }
};

template <typename Faulty>
std::unique_ptr<Ops> make(DType operands) {
  return std::make_unique<Faulty>(operands);
}

}  // namespace

const std::vector<Fault>& faults() {
  static const std::vector<Fault> list = {
      {"drops_last_product", "linear", make<DropsLastProduct>},
      {"spoils_one_element", "linear", make<SpoilsOneElement>},
      {"ignores_gate", "linear_add_gated", make<IgnoresGate>},
      {"drops_last_key", "attention", make<DropsLastKey>},
      {"causal_from_the_top", "attention", make<CausalFromTheTop>},
      {"one_key_too_many", "attention", make<IgnoresKeyRanges>},
      {"shares_one_bias", "attention", make<SharesOneBias>},
      {"drops_last_channel", "conv2d", make<DropsLastChannel>},
      {"pads_the_other_side", "conv2d", make<PadsTheOtherSide>},
      {"overwrites_residual", "conv2d_add", make<OverwritesResidual>},
      {"from_the_other_row", "upsample_conv2d", make<UpsamplesFromTheOtherRow>},
      {"swaps_scale_and_shift", "adaln", make<SwapsScaleAndShift>},
      {"one_pass_variance", "adaln", make<OnePassVariance>},
      {"forgets_eps", "rms_norm", make<ForgetsEps>},
      {"other_layout", "rms_norm_rope", make<OtherRopeLayout>},
      {"rotates_backwards", "rms_norm_rope", make<RotatesBackwards>},
      {"halves_groups", "group_norm", make<HalvesGroups>},
      {"forgets_activation", "group_norm", make<ForgetsActivation>},
      {"gates_the_other_half", "swiglu", make<GatesTheOtherHalf>},
      {"writes_past_the_end", "swiglu", make<WritesPastTheEnd>},
      {"approximates_gelu", "activate", make<ApproximatesGelu>},
      {"gates_only_the_first", "add_gated", make<GatesOnlyTheFirst>},
      {"next_row", "embedding", make<NextRow>},
      {"flips", "upsample_nearest", make<Flips>},
      {"misses_last_row", "copy", make<MissesLastRow>},
  };
  return list;
}

std::unique_ptr<Ops> make_sound_ops(DType operands) {
  return std::make_unique<SoundOps>(operands);
}

}  // namespace flux2::conformance
