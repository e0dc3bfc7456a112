#include <cassert>

#include "backends/reference/elements.h"
#include "backends/reference/reference_backend.h"

namespace flux2::reference {
namespace {

// sums[0..count) += factor * row[0..count)
void add_scaled(double factor, const float* row, double* sums, std::int64_t count) {
  for (std::int64_t j = 0; j < count; ++j)
    sums[j] += factor * static_cast<double>(row[j]);
}

}  // namespace

void ReferenceOps::linear(const Tensor& x, const Weight& weight, const Tensor& out) {
  const std::int64_t in = weight.in_features(), width = weight.out_features();
  assert(x.dim(-1) == in && out.dim(-1) == width && rows_of(x) == rows_of(out));
  const auto& prepared = weight.prepared<FloatWeight>();
  const std::vector<float> inputs = read(x);
  std::vector<double> sums(index(out.elements()));
  for_each(rows_of(x), in * width, [&](std::int64_t row) {
    double* y = &sums[index(row * width)];
    add_scaled(1.0, prepared.bias.data(), y, width);
    for (std::int64_t k = 0; k < in; ++k) {
      add_scaled(static_cast<double>(inputs[index(row * in + k)]),
                 &prepared.values[index(k * width)], y, width);
    }
  });
  write(out, sums);
}

void ReferenceOps::conv2d(const Tensor& x, const Weight& weight, const ConvGeometry& geometry,
                          const Tensor& out) {
  const std::int64_t out_channels = weight.shape()[0], in_channels = weight.shape()[1];
  const std::int64_t kernel_height = weight.shape()[2], kernel_width = weight.shape()[3];
  const std::int64_t height = x.dim(1), width = x.dim(2);
  const std::int64_t out_height = out.dim(1), out_width = out.dim(2);
  const auto fits = [&](std::int64_t size, std::int64_t pads, std::int64_t kernel,
                        std::int64_t result) {
    return (size + pads - kernel) / geometry.stride + 1 == result;
  };
  assert(x.dim(3) == in_channels && out.dim(3) == out_channels && x.dim(0) == out.dim(0));
  assert(fits(height, geometry.pad_top + geometry.pad_bottom, kernel_height, out_height));
  assert(fits(width, geometry.pad_left + geometry.pad_right, kernel_width, out_width));
  static_cast<void>(fits);

  const auto& prepared = weight.prepared<FloatWeight>();
  const std::vector<float> inputs = read(x);
  std::vector<double> sums(index(out.elements()));
  const std::int64_t line_work = out_width * weight.shape().elements();
  for_each(x.dim(0) * out_height, line_work, [&](std::int64_t line) {
    const std::int64_t sample = line / out_height, oy = line % out_height;
    for (std::int64_t ox = 0; ox < out_width; ++ox) {
      double* y = &sums[index((line * out_width + ox) * out_channels)];
      add_scaled(1.0, prepared.bias.data(), y, out_channels);
      for (std::int64_t tap = 0; tap < kernel_height * kernel_width; ++tap) {
        const std::int64_t iy = oy * geometry.stride - geometry.pad_top + tap / kernel_width;
        const std::int64_t ix = ox * geometry.stride - geometry.pad_left + tap % kernel_width;
        if (iy < 0 || iy >= height || ix < 0 || ix >= width) continue;
        const std::int64_t pixel = ((sample * height + iy) * width + ix) * in_channels;
        for (std::int64_t c = 0; c < in_channels; ++c) {
          add_scaled(static_cast<double>(inputs[index(pixel + c)]),
                     &prepared.values[index((tap * in_channels + c) * out_channels)], y,
                     out_channels);
        }
      }
    }
  });
  write(out, sums);
}

}  // namespace flux2::reference
