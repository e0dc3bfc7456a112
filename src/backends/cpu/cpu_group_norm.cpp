#include <algorithm>
#include <cassert>
#include <cmath>
#include <vector>

#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/rows.h"
#include "base/rounding.h"

namespace flux2 {
namespace {

// Pixels that are summed in float; sums of such blocks are merged in double. Few enough to be read
// the second time from the cache.
constexpr std::int64_t kBlockPixels = 32;
// Parts of a picture that are summed apart: a fixed number, so that the result does not depend on
// the number of threads.
constexpr std::int64_t kMostParts = 128;

// Count, mean and sum of squared deviations of a set of numbers.
struct Moments {
  double count = 0;
  double mean = 0;
  double squares = 0;

  // Chan, Golub and LeVeque (1983): no cancellation, whatever the two means are.
  void merge(const Moments& other) {
    const double total = count + other.count;
    if (total == 0) return;
    const double distance = other.mean - mean;
    squares += other.squares + distance * distance * count * other.count / total;
    mean += distance * other.count / total;
    count = total;
  }
};

double sum_of(const float* values, std::int64_t count) {
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i)
    sum += static_cast<double>(values[i]);
  return sum;
}

// Moments of the groups of one sample, summed block by block.
class GroupSums {
 public:
  GroupSums(const Kernels& kernels, const Tensor& pixels, std::int64_t groups)
      : pixels_(pixels),
        groups_(groups),
        width_(pixels.dim(1) / groups),
        sums_kernel_(pick(kernels.channel_sums, pixels)),
        squares_kernel_(pick(kernels.channel_squares, pixels)),
        sums_(static_cast<std::size_t>(pixels.dim(1))),
        center_(sums_.size()) {}

  // Merges the pixels [first, first + count) into moments[groups].
  void add(std::int64_t first, std::int64_t count, Moments* moments) {
    const PixelRange range = {.x = pixels_.slice(0, first, 1).bytes(),
                              .pixels = count,
                              .stride = pixels_.stride(0),
                              .channels = pixels_.dim(1)};
    sums_kernel_(range, sums_.data());
    const auto elements = static_cast<double>(count * width_);
    for (std::int64_t g = 0; g < groups_; ++g) {
      const double mean = sum_of(sums_.data() + g * width_, width_) / elements;
      std::fill_n(center_.data() + g * width_, width_, static_cast<float>(mean));
    }
    squares_kernel_(range, center_.data(), sums_.data());
    for (std::int64_t g = 0; g < groups_; ++g) {
      moments[g].merge({.count = elements,
                        .mean = static_cast<double>(*(center_.data() + g * width_)),
                        .squares = sum_of(sums_.data() + g * width_, width_)});
    }
  }

 private:
  const Tensor& pixels_;
  std::int64_t groups_;
  std::int64_t width_;
  void (*sums_kernel_)(const PixelRange&, float*);
  void (*squares_kernel_)(const PixelRange&, const float*, float*);
  std::vector<float> sums_;
  std::vector<float> center_;
};

// pixels [h w, C]
std::vector<Moments> moments_of(const Kernels& kernels, const Tensor& pixels, std::int64_t groups) {
  const std::int64_t count = pixels.dim(0);
  const std::int64_t blocks = ceil_divide(count, kBlockPixels);
  const std::int64_t parts = std::min(blocks, kMostParts);
  std::vector<Moments> partial(static_cast<std::size_t>(parts * groups));
  parallel_for(parts, 1, [&](std::int64_t begin, std::int64_t end) {
    GroupSums sums(kernels, pixels, groups);
    for (std::int64_t part = begin; part < end; ++part) {
      for (std::int64_t i = blocks * part / parts; i < blocks * (part + 1) / parts; ++i) {
        const std::int64_t first = i * kBlockPixels;
        sums.add(first, std::min(kBlockPixels, count - first), partial.data() + part * groups);
      }
    }
  });
  std::vector<Moments> moments(static_cast<std::size_t>(groups));
  for (std::size_t i = 0; i < partial.size(); ++i)
    moments[i % moments.size()].merge(partial[i]);
  return moments;
}

// The norm as out = factor * x + offset for each channel.
struct ChannelAffine {
  std::vector<float> factor;
  std::vector<float> offset;
};

ChannelAffine affine_of(const std::vector<Moments>& groups, const GroupNorm& norm,
                        std::int64_t channels) {
  ChannelAffine affine;
  const std::int64_t width = channels / norm.groups;
  for (std::int64_t c = 0; c < channels; ++c) {
    const Moments& group = groups[static_cast<std::size_t>(c / width)];
    const double variance = group.squares / group.count;
    const double factor = static_cast<double>(norm.weight.f32()[c]) /
                          std::sqrt(variance + static_cast<double>(norm.eps));
    affine.factor.push_back(static_cast<float>(factor));
    affine.offset.push_back(
        static_cast<float>(static_cast<double>(norm.bias.f32()[c]) - group.mean * factor));
  }
  return affine;
}

}  // namespace

void CpuOps::group_norm(const Tensor& x, const GroupNorm& norm, Activation activation,
                        const Tensor& out) {
  const std::int64_t pixels = x.dim(1) * x.dim(2), channels = x.dim(3);
  assert(x.rank() == 4 && x.shape() == out.shape() && channels % norm.groups == 0);
  if (activation == Activation::gelu) {
    const Tensor normal = pool_->tensor(x.shape(), DType::f32);
    group_norm(x, norm, Activation::none, normal);
    return activate(normal, Activation::gelu, out);
  }
  const Tensor source = dense(x, x.dtype());
  GroupNorm parameters = norm;
  parameters.weight = parameter(norm.weight);
  parameters.bias = parameter(norm.bias);
  const bool silu = activation == Activation::silu;
  const auto kernel = pick(silu ? kernels_.affine_silu : kernels_.affine, source, out);
  for (std::int64_t b = 0; b < x.dim(0); ++b) {
    const Tensor sample = source[b].view({pixels, channels});
    const ChannelAffine affine =
        affine_of(moments_of(kernels_, sample, norm.groups), parameters, channels);
    const Tensor result = out[b];
    const Rows from(sample), to(result);
    for_rows(from, [&](std::int64_t row) {
      kernel(from[row], affine.factor.data(), affine.offset.data(), to[row], channels);
    });
  }
}

}  // namespace flux2
