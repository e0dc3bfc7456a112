#include "diffusion/latents.h"

#include <array>
#include <cmath>
#include <initializer_list>
#include <string>

#include <fmt/format.h>

#include "flux2/error.h"

namespace flux2 {
namespace {

constexpr std::int64_t kPatch = 2;
constexpr std::int64_t kPatchPixels = kPatch * kPatch;

void require(bool fits, const Tensor& tensor, const std::string& wanted) {
  if (fits) return;
  throw Error(ErrorCode::invalid_request,
              fmt::format("latents of type {} and shape {} where f32 {} is needed",
                          name_of(tensor.dtype()), tensor.shape().to_string(), wanted),
              "latents");
}

bool is_f32(const Tensor& tensor, int rank) {
  return tensor.dtype() == DType::f32 && tensor.rank() == rank;
}

void require_tokens(const Tensor& tokens, TokenGrid grid) {
  require(
      is_f32(tokens, 3) && grid.rows >= 0 && grid.columns >= 0 && tokens.dim(1) == grid.tokens(),
      tokens, fmt::format("[B, {} * {}, C]", grid.rows, grid.columns));
}

// A copy of `source` whose dimensions are in another order: dimension i of the result is dimension
// order[i] of the source.
Tensor transposed(const Tensor& source, std::span<const int> order) {
  Shape shape = source.shape();
  std::array<std::int64_t, Shape::kMaxRank> strides{};
  for (int axis = 0; axis < source.rank(); ++axis) {
    const int from = order[static_cast<std::size_t>(axis)];
    shape.set(axis, source.dim(from));
    strides[static_cast<std::size_t>(axis)] = source.stride(from);
  }
  Tensor result = make_host_tensor(shape);
  std::array<std::int64_t, Shape::kMaxRank> index{};
  std::int64_t offset = 0;
  for (float& value : std::span(result.f32(), static_cast<std::size_t>(shape.elements()))) {
    value = source.f32()[offset];
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      const auto i = static_cast<std::size_t>(axis);
      offset += strides[i];
      if (++index[i] < shape[axis]) break;
      offset -= strides[i] * index[i];
      index[i] = 0;
    }
  }
  return result;
}

Tensor transposed(const Tensor& source, std::initializer_list<int> order) {
  return transposed(source, std::span<const int>(order.begin(), order.size()));
}

}  // namespace

Tensor pack(const Tensor& latents) {
  require(is_f32(latents, 4), latents, "[B, C, h, w]");
  const std::int64_t tokens = latents.dim(2) * latents.dim(3);
  return transposed(latents, {0, 2, 3, 1}).view({latents.dim(0), tokens, latents.dim(1)});
}

Tensor unpack(const Tensor& tokens, TokenGrid grid) {
  require_tokens(tokens, grid);
  const Tensor rows = tokens.view({tokens.dim(0), grid.rows, grid.columns, tokens.dim(2)});
  return transposed(rows, {0, 3, 1, 2});
}

Tensor patchify(const Tensor& latents) {
  require(is_f32(latents, 4) && latents.dim(2) % kPatch == 0 && latents.dim(3) % kPatch == 0,
          latents, "[B, C, h, w] with even h and w");
  const std::int64_t batch = latents.dim(0);
  const std::int64_t channels = latents.dim(1);
  const std::int64_t rows = latents.dim(2) / kPatch;
  const std::int64_t columns = latents.dim(3) / kPatch;
  const Tensor split = latents.view({batch, channels, rows, kPatch, columns, kPatch});
  return transposed(split, {0, 1, 3, 5, 2, 4})
      .view({batch, channels * kPatchPixels, rows, columns});
}

Tensor unpatchify(const Tensor& patches) {
  require(is_f32(patches, 4) && patches.dim(1) % kPatchPixels == 0, patches, "[B, 4 C, h, w]");
  const std::int64_t batch = patches.dim(0);
  const std::int64_t channels = patches.dim(1) / kPatchPixels;
  const std::int64_t rows = patches.dim(2);
  const std::int64_t columns = patches.dim(3);
  const Tensor split = patches.view({batch, channels, kPatch, kPatch, rows, columns});
  return transposed(split, {0, 1, 4, 2, 5, 3})
      .view({batch, channels, rows * kPatch, columns * kPatch});
}

Tensor patchify_to_tokens(const Tensor& latents) {
  require(is_f32(latents, 4) && latents.dim(1) % kPatch == 0 && latents.dim(2) % kPatch == 0,
          latents, "[B, h, w, C] with even h and w");
  const std::int64_t batch = latents.dim(0);
  const std::int64_t rows = latents.dim(1) / kPatch;
  const std::int64_t columns = latents.dim(2) / kPatch;
  const std::int64_t channels = latents.dim(3);
  const Tensor split = latents.view({batch, rows, kPatch, columns, kPatch, channels});
  return transposed(split, {0, 1, 3, 5, 2, 4})
      .view({batch, rows * columns, channels * kPatchPixels});
}

Tensor unpatchify_tokens(const Tensor& tokens, TokenGrid grid) {
  require_tokens(tokens, grid);
  require(tokens.dim(2) % kPatchPixels == 0, tokens, "[B, h * w, 4 C]");
  const std::int64_t batch = tokens.dim(0);
  const std::int64_t channels = tokens.dim(2) / kPatchPixels;
  const Tensor split = tokens.view({batch, grid.rows, grid.columns, channels, kPatch, kPatch});
  return transposed(split, {0, 1, 4, 2, 5, 3})
      .view({batch, grid.rows * kPatch, grid.columns * kPatch, channels});
}

LatentStatistics::LatentStatistics(std::span<const float> mean, std::span<const float> variance,
                                   float eps)
    : mean_(mean.begin(), mean.end()) {
  if (mean.empty() || mean.size() != variance.size()) {
    throw Error(ErrorCode::bad_file,
                fmt::format("{} means and {} variances", mean.size(), variance.size()),
                "VAE batch norm");
  }
  for (std::size_t i = 0; i < mean.size(); ++i) {
    const float squared = variance[i] + eps;
    if (!std::isfinite(mean[i]) || !std::isfinite(squared) || squared <= 0.0f) {
      throw Error(ErrorCode::bad_file,
                  fmt::format("channel {} has mean {} and variance {}", i, mean[i], variance[i]),
                  "VAE batch norm");
    }
    deviation_.push_back(std::sqrt(squared));
  }
}

namespace {

// Calls change(value, channel) on every element.
template <typename Change>
void for_each_channel(const Tensor& tokens, std::size_t channels, Change change) {
  require(tokens.dtype() == DType::f32 && tokens.rank() > 0 && tokens.is_dense() &&
              tokens.dim(-1) == static_cast<std::int64_t>(channels),
          tokens, fmt::format("dense [..., {}]", channels));
  float* value = tokens.f32();
  float* const end = value + tokens.elements();
  while (value != end) {
    for (std::size_t channel = 0; channel < channels; ++channel, ++value)
      change(*value, channel);
  }
}

}  // namespace

void LatentStatistics::normalise(const Tensor& tokens) const {
  for_each_channel(tokens, mean_.size(), [this](float& value, std::size_t channel) {
    value = (value - mean_[channel]) / deviation_[channel];
  });
}

void LatentStatistics::denormalise(const Tensor& tokens) const {
  for_each_channel(tokens, mean_.size(), [this](float& value, std::size_t channel) {
    value = value * deviation_[channel] + mean_[channel];
  });
}

}  // namespace flux2
