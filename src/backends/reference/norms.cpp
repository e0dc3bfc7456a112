#include <cassert>
#include <cmath>

#include "backends/reference/elements.h"
#include "backends/reference/reference_backend.h"

namespace flux2::reference {
namespace {

// Mean and 1 / sqrt(variance + eps), biased, of `count` values.
struct Moments {
  double mean = 0;
  double inverse_deviation = 0;
};

Moments moments_of(const float* row, std::int64_t count, float eps) {
  double sum = 0, squares = 0;
  for (std::int64_t j = 0; j < count; ++j)
    sum += static_cast<double>(row[j]);
  const double mean = sum / static_cast<double>(count);
  for (std::int64_t j = 0; j < count; ++j)
    squares += std::pow(static_cast<double>(row[j]) - mean, 2);
  const double variance = squares / static_cast<double>(count);
  return {mean, 1.0 / std::sqrt(variance + static_cast<double>(eps))};
}

// 1 / sqrt(mean(x^2) + eps)
double inverse_rms(const float* row, std::int64_t count, float eps) {
  double squares = 0;
  for (std::int64_t j = 0; j < count; ++j)
    squares += std::pow(static_cast<double>(row[j]), 2);
  return 1.0 / std::sqrt(squares / static_cast<double>(count) + static_cast<double>(eps));
}

}  // namespace

void ReferenceOps::adaln(const Tensor& x, const Tensor& scale, const Tensor& shift, float eps,
                         const Tensor& out) {
  assert(x.rank() == 3 && x.shape() == out.shape() && scale.shape() == shift.shape());
  assert(scale.dim(0) == x.dim(0) && scale.dim(1) == x.dim(2));
  const std::int64_t tokens = x.dim(1), width = x.dim(2);
  const std::vector<float> inputs = read(x), scales = read(scale), shifts = read(shift);
  std::vector<double> results(inputs.size());
  for_each(x.dim(0) * tokens, width, [&](std::int64_t row) {
    const Moments moments = moments_of(&inputs[index(row * width)], width, eps);
    for (std::int64_t j = 0; j < width; ++j) {
      const std::size_t at = index(row * width + j), modulation = index(row / tokens * width + j);
      const double normal =
          (static_cast<double>(inputs[at]) - moments.mean) * moments.inverse_deviation;
      results[at] = (1.0 + static_cast<double>(scales[modulation])) * normal +
                    static_cast<double>(shifts[modulation]);
    }
  });
  write(out, results);
}

void ReferenceOps::rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& out) {
  const std::int64_t width = x.dim(-1);
  assert(x.shape() == out.shape() && weight.elements() == width);
  const std::vector<float> inputs = read(x), weights = read(weight);
  std::vector<double> results(inputs.size());
  for_each(rows_of(x), width, [&](std::int64_t row) {
    const double factor = inverse_rms(&inputs[index(row * width)], width, eps);
    for (std::int64_t j = 0; j < width; ++j) {
      const std::size_t at = index(row * width + j);
      results[at] =
          static_cast<double>(weights[index(j)]) * static_cast<double>(inputs[at]) * factor;
    }
  });
  write(out, results);
}

void ReferenceOps::rms_norm_rope(const Tensor& x, const Tensor& weight, float eps,
                                 const RopeTable& rope, RopeLayout layout) {
  const std::int64_t tokens = x.dim(1), heads = x.dim(2), width = x.dim(3), half = width / 2;
  assert(x.rank() == 4 && width % 2 == 0 && (!weight.defined() || weight.elements() == width));
  assert(rope.cos.shape() == rope.sin.shape() && rope.cos.dim(-1) == half);
  assert(rope.cos.dim(-2) == tokens && (rope.cos.rank() == 2 || rope.cos.dim(0) == x.dim(0)));
  const std::vector<float> inputs = read(x), cosines = read(rope.cos), sines = read(rope.sin);
  const std::vector<float> weights = weight.defined() ? read(weight) : std::vector<float>();
  const bool halves = layout == RopeLayout::halves;
  std::vector<double> results(inputs.size());
  for_each(rows_of(x), width, [&](std::int64_t row) {
    const float* head = &inputs[index(row * width)];
    const double factor = weight.defined() ? inverse_rms(head, width, eps) : 1.0;
    const auto normal = [&](std::int64_t j) {
      const double gain = weight.defined() ? static_cast<double>(weights[index(j)]) : 1.0;
      return gain * static_cast<double>(head[j]) * factor;
    };
    const std::int64_t token = row / heads;  // counted over all samples
    const std::int64_t angle_row = rope.cos.rank() == 3 ? token : token % tokens;
    for (std::int64_t i = 0; i < half; ++i) {
      const std::int64_t first = halves ? i : 2 * i, second = halves ? i + half : 2 * i + 1;
      const double a = normal(first), b = normal(second);
      const double cos = static_cast<double>(cosines[index(angle_row * half + i)]);
      const double sin = static_cast<double>(sines[index(angle_row * half + i)]);
      results[index(row * width + first)] = a * cos - b * sin;
      results[index(row * width + second)] = b * cos + a * sin;
    }
  });
  write(x, results);
}

void ReferenceOps::group_norm(const Tensor& x, const GroupNorm& norm, Activation activation,
                              const Tensor& out) {
  const std::int64_t pixels = x.dim(1) * x.dim(2), channels = x.dim(3);
  const std::int64_t group = channels / norm.groups;  // channels of one group
  assert(x.rank() == 4 && x.shape() == out.shape() && channels % norm.groups == 0);
  assert(norm.weight.elements() == channels && norm.bias.elements() == channels);
  const std::vector<float> inputs = read(x), weights = read(norm.weight), biases = read(norm.bias);
  std::vector<float> gathered(inputs.size());  // [B, groups, pixels, group]
  std::vector<double> results(inputs.size());
  for_each(x.dim(0) * norm.groups, pixels * group, [&](std::int64_t part) {
    const std::int64_t sample = part / norm.groups, first = part % norm.groups * group;
    const std::int64_t count = pixels * group;
    float* values = gathered.data() + part * count;
    const auto place = [&](std::int64_t i) {
      return index((sample * pixels + i / group) * channels + first + i % group);
    };
    for (std::int64_t i = 0; i < count; ++i)
      values[i] = inputs[place(i)];
    const Moments moments = moments_of(values, count, norm.eps);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::size_t channel = index(first + i % group);
      const double normal =
          (static_cast<double>(values[i]) - moments.mean) * moments.inverse_deviation;
      results[place(i)] = apply(activation, static_cast<double>(weights[channel]) * normal +
                                                static_cast<double>(biases[channel]));
    }
  });
  write(out, results);
}

}  // namespace flux2::reference
