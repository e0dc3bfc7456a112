#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <vector>

#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/rows.h"

// A 3x3 convolution of a picture doubled by repeating its pixels reads only 2x2 different pixels
// for each result. Which ones, and which of the nine weights meet in one of them, depends on
// whether the result's row and column are even or odd:
//
//   even   x[i - 1] w0 + x[i] (w1 + w2)        odd   x[i] (w0 + w1) + x[i + 1] w2
//
// along either axis. So four 2x2 convolutions of the small picture, with kernels summed in float,
// give the four interleaved parts of the large one: 16 products for a quartet instead of 36, and
// the doubled picture never exists.
namespace flux2 {

/// By row, then column: even-even, even-odd, odd-even, odd-odd.
struct UpsamplingKernels {
  std::array<std::shared_ptr<PackedConv>, 4> parts;
};

namespace {

// Elements of the small picture's rows that are convolved at a time and thread, so that the parts
// are still in the cache when they are interleaved.
constexpr std::int64_t kBandElements = std::int64_t{1} << 19;

// Sums of a line of three taps, `step` elements apart, to the two that a parity has.
std::array<float, 2> sums_of(const float* taps, std::int64_t step, std::int64_t parity) {
  if (parity == 0) return {taps[0], taps[step] + taps[2 * step]};
  return {taps[0] + taps[step], taps[2 * step]};
}

// kernel [3, 3] to the [2, 2] of a part.
std::array<float, 4> part_of(const float* kernel, std::int64_t part) {
  std::array<float, 6> columns{};  // [3, 2]
  for (std::size_t row = 0; row < 3; ++row) {
    const auto sums = sums_of(kernel + 3 * row, 1, part % 2);
    std::copy(sums.begin(), sums.end(), columns.begin() + static_cast<std::ptrdiff_t>(2 * row));
  }
  const auto left = sums_of(columns.data(), 2, part / 2);
  const auto right = sums_of(columns.data() + 1, 2, part / 2);
  return {left[0], right[0], left[1], right[1]};
}

std::shared_ptr<const UpsamplingKernels> make_kernels(DnnlEngine& dnnl, MemoryPool& pool,
                                                      const PackedConv& weight) {
  const std::vector<float> kernel = dnnl.unpack_conv(weight);
  const Shape shape = {weight.shape[0], weight.shape[1], 2, 2};
  const Tensor values = pool.tensor(shape, weight.dtype);
  auto made = std::make_shared<UpsamplingKernels>();
  for (std::size_t part = 0; part < made->parts.size(); ++part) {
    for (std::int64_t i = 0; i < shape[0] * shape[1]; ++i) {
      const auto sums = part_of(kernel.data() + 9 * i, static_cast<std::int64_t>(part));
      convert_from_float(sums.data(), weight.dtype,
                         values.bytes() + static_cast<std::size_t>(4 * i) * size_of(weight.dtype),
                         sums.size());
    }
    made->parts[part] = dnnl.pack_conv(values.bytes(), weight.dtype, shape);
    made->parts[part]->bias = weight.bias;
  }
  return made;
}

std::shared_ptr<const UpsamplingKernels> kernels_of(DnnlEngine& dnnl, MemoryPool& pool,
                                                    const PackedConv& weight) {
  const std::lock_guard lock(weight.mutex);
  if (!weight.upsampling) weight.upsampling = make_kernels(dnnl, pool, weight);
  return weight.upsampling;
}

// Every second pixel of every second row of out [1, 2h, 2w, C] from part [1, h, w, C].
void interleave(const Tensor& part, const Tensor& out, std::int64_t index) {
  const std::int64_t width = part.dim(2);
  const std::size_t pixel = static_cast<std::size_t>(part.dim(3)) * size_of(part.dtype());
  const Rows source(part), target(out);
  parallel_for(part.dim(1), grain_for(width * part.dim(3)),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t line = begin; line < end; ++line) {
                   const std::int64_t first = (2 * line + index / 2) * 2 * width + index % 2;
                   for (std::int64_t x = 0; x < width; ++x)
                     std::memcpy(target[first + 2 * x], source[line * width + x], pixel);
                 }
               });
}

// Rows of the small picture that a band needs: its own, and a neighbour at each end that is inside.
struct Band {
  std::int64_t above, count, below;

  std::int64_t first(std::int64_t index) const { return index / 2 == 0 ? 0 : above; }
  std::int64_t seen(std::int64_t index) const { return count + (index / 2 == 0 ? above : below); }
  // Even rows and columns look back, odd ones ahead; zeros where there is no picture.
  ConvGeometry geometry(std::int64_t index) const {
    const bool even_row = index / 2 == 0, even_column = index % 2 == 0;
    return {.stride = 1,
            .pad_top = even_row ? 1 - above : 0,
            .pad_left = even_column ? 1 : 0,
            .pad_bottom = even_row ? 0 : 1 - below,
            .pad_right = even_column ? 0 : 1};
  }
};

}  // namespace

std::int64_t upsampling_band_rows(std::int64_t width, const Shape& kernel) {
  const std::int64_t elements = kBandElements * thread_count();
  const std::int64_t row = width * std::max(kernel[0], kernel[1]);
  return std::max<std::int64_t>(1, elements / std::max<std::int64_t>(1, row));
}

void CpuOps::upsample_conv2d(const Tensor& x, const Weight& weight, const Tensor& out) {
  const auto& packed = weight.prepared<PackedConv>();
  const std::int64_t height = x.dim(1), width = x.dim(2);
  assert(packed.shape[2] == 3 && packed.shape[3] == 3 && x.dim(3) == packed.shape[1]);
  assert(out.dim(1) == 2 * height && out.dim(2) == 2 * width && out.dim(3) == packed.shape[0]);
  const auto kernels = kernels_of(dnnl_, *pool_, packed);
  const std::int64_t step = upsampling_band_rows(width, packed.shape);
  for (std::int64_t b = 0; b < x.dim(0); ++b) {
    for (std::int64_t row = 0; row < height; row += step) {
      const std::int64_t count = std::min(step, height - row);
      const Band band = {std::min<std::int64_t>(1, row), count,
                         std::min<std::int64_t>(1, height - row - count)};
      const Tensor rows =
          x.slice(0, b, 1).slice(1, row - band.above, band.above + count + band.below);
      const Tensor source = dense(rows, packed.dtype);
      const Tensor target = out.slice(0, b, 1).slice(1, 2 * row, 2 * count);
      const Tensor part = pool_->tensor({1, count, width, out.dim(3)}, out.dtype());
      for (std::int64_t index = 0; index < 4; ++index) {
        dnnl_.convolution({.weight = *kernels->parts[static_cast<std::size_t>(index)],
                           .src = source.slice(1, band.first(index), band.seen(index)),
                           .dst = part,
                           .geometry = band.geometry(index)});
        interleave(part, target, index);
      }
    }
  }
}

}  // namespace flux2
