#include "images/resample.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <type_traits>

#include "flux2/error.h"
#include "images/codec.h"
#include "images/convert.h"

namespace flux2 {
namespace {

double sinc(double x) {
  if (x == 0.0) return 1.0;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

// sinc windowed by a wider sinc, three lobes
double lanczos_weight(double x) {
  return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0;
}

// Keys' cubic convolution with a = -1/2
double bicubic_weight(double x) {
  constexpr double a = -0.5;
  x = std::fabs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

struct Kernel {
  double (*weight)(double);
  double support;  // the weight is zero from here on
};

Kernel kernel_of(Filter filter) {
  if (filter == Filter::bicubic) return {bicubic_weight, 2.0};
  return {lanczos_weight, 3.0};
}

// Which source pixels make one result pixel, for every result pixel along one axis:
// result[i] = sum over k < count of weights[i * taps + k] * source[first + k]
struct Axis {
  struct Range {
    int first;
    int count;
  };
  std::size_t taps = 0;
  std::vector<Range> ranges;
  std::vector<double> weights;
};

// Source interval along one axis, and how long the source is.
struct Interval {
  int source;
  float begin;
  float end;
};

Axis axis_weights(const Kernel& kernel, const Interval& from, int to) {
  const double scale = static_cast<double>(from.end - from.begin) / to;
  const double filter_scale = std::max(scale, 1.0);  // shrinking widens the kernel
  const double support = kernel.support * filter_scale;
  const double inverse = 1.0 / filter_scale;

  Axis axis;
  axis.taps = static_cast<std::size_t>(std::ceil(support)) * 2 + 1;
  axis.ranges.reserve(static_cast<std::size_t>(to));
  axis.weights.resize(static_cast<std::size_t>(to) * axis.taps);
  for (int i = 0; i < to; ++i) {
    const double center = from.begin + (i + 0.5) * scale;
    const int first = std::max(static_cast<int>(center - support + 0.5), 0);
    const int last = std::min(static_cast<int>(center + support + 0.5), from.source);
    double* const weights = &axis.weights[static_cast<std::size_t>(i) * axis.taps];
    double sum = 0.0;
    for (int k = 0; k < last - first; ++k) {
      weights[k] = kernel.weight((k + first - center + 0.5) * inverse);
      sum += weights[k];
    }
    for (int k = 0; sum != 0.0 && k < last - first; ++k)
      weights[k] /= sum;
    axis.ranges.push_back({first, last - first});
  }
  return axis;
}

// How samples of 8 bits are summed: weights as integers with 22 fractional bits.
struct EightBit {
  using Sample = std::uint8_t;
  using Weight = std::int32_t;
  static constexpr int kFraction = 32 - 8 - 2;
  static Weight weight(double w) {
    return static_cast<Weight>((w < 0 ? -0.5 : 0.5) + w * (1 << kFraction));
  }
  static constexpr std::int32_t kStart = 1 << (kFraction - 1);
  static Sample result(std::int32_t sum) {
    return static_cast<Sample>(std::clamp(sum >> kFraction, 0, 255));
  }
};

// How samples of 16 bits are summed: in double.
struct SixteenBit {
  using Sample = std::uint16_t;
  using Weight = double;
  static Weight weight(double w) { return w; }
  static constexpr double kStart = 0.0;
  static Sample result(double sum) {
    const auto rounded = static_cast<int>(sum >= 0.0 ? sum + 0.5 : sum - 0.5);
    return static_cast<Sample>(std::clamp(rounded, 0, 65535));
  }
};

// How floats are summed, as in Pillow's mode "F".
struct FloatDepth {
  using Sample = float;
  using Weight = double;
  static Weight weight(double w) { return w; }
  static constexpr double kStart = 0.0;
  static Sample result(double sum) { return static_cast<float>(sum); }
};

template <class Depth>
std::vector<typename Depth::Weight> weights_of(const Axis& axis) {
  std::vector<typename Depth::Weight> weights(axis.weights.size());
  std::transform(axis.weights.begin(), axis.weights.end(), weights.begin(), Depth::weight);
  return weights;
}

template <class Sample>
struct Plane {
  std::size_t width;  // samples in a row: pixels times channels
  std::vector<Sample> samples;
};

// One result pixel of `Channels` interleaved samples, its sources `step` samples apart.
template <class Depth, std::size_t Channels>
void sum_pixel(const typename Depth::Sample* source, std::size_t step,
               std::span<const typename Depth::Weight> weights, typename Depth::Sample* target) {
  std::remove_const_t<decltype(Depth::kStart)> sums[Channels];
  std::fill_n(sums, Channels, Depth::kStart);
  for (const auto weight : weights) {
    for (std::size_t c = 0; c < Channels; ++c)
      sums[c] += source[c] * weight;
    source += step;
  }
  for (std::size_t c = 0; c < Channels; ++c)
    target[c] = Depth::result(sums[c]);
}

struct Rows {
  std::size_t first;
  std::size_t count;
};

template <class Depth, std::size_t Channels>
Plane<typename Depth::Sample> resample_columns(const Plane<typename Depth::Sample>& in, Rows rows,
                                               const Axis& axis) {
  const auto weights = weights_of<Depth>(axis);
  const std::size_t width = axis.ranges.size() * Channels;
  Plane<typename Depth::Sample> out{width, {}};
  out.samples.resize(width * rows.count);
  for (std::size_t y = 0; y < rows.count; ++y) {
    const auto* row = &in.samples[(rows.first + y) * in.width];
    auto* target = &out.samples[y * width];
    for (std::size_t i = 0; i < axis.ranges.size(); ++i) {
      const auto [first, count] = axis.ranges[i];
      sum_pixel<Depth, Channels>(row + static_cast<std::size_t>(first) * Channels, Channels,
                                 {&weights[i * axis.taps], static_cast<std::size_t>(count)},
                                 target + i * Channels);
    }
  }
  return out;
}

// Channels do not matter here: every sample of a row is treated alike.
template <class Depth>
Plane<typename Depth::Sample> resample_rows(const Plane<typename Depth::Sample>& in,
                                            std::size_t first_row, const Axis& axis) {
  const auto weights = weights_of<Depth>(axis);
  Plane<typename Depth::Sample> out{in.width, {}};
  out.samples.resize(in.width * axis.ranges.size());
  for (std::size_t y = 0; y < axis.ranges.size(); ++y) {
    const auto [first, count] = axis.ranges[y];
    const auto* rows = &in.samples[(static_cast<std::size_t>(first) - first_row) * in.width];
    for (std::size_t x = 0; x < in.width; ++x) {
      sum_pixel<Depth, 1>(rows + x, in.width,
                          {&weights[y * axis.taps], static_cast<std::size_t>(count)},
                          &out.samples[y * in.width + x]);
    }
  }
  return out;
}

// Whether columns are resampled before rows. The order shows, because the first pass rounds.
// Pillow 13 turns it around where the height shrinks by more than twice what the width does;
// earlier versions always begin with the columns.
bool columns_first(const Image& image, Size size) {
  const int shrink = image.height - size.height;
  return shrink <= 0 || shrink <= 2 * (std::int64_t{image.width} - size.width);
}

// Two passes, each left out where its axis does not change. ImagingResampleInner.
template <class Depth, std::size_t Channels>
Image resample(const Image& image, Size size, const Kernel& kernel, const SourceBox& box) {
  using Sample = typename Depth::Sample;
  Plane<Sample> plane{static_cast<std::size_t>(image.width) * Channels, {}};
  plane.samples.resize(image.pixels.size() / sizeof(Sample));
  std::memcpy(plane.samples.data(), image.pixels.data(), image.pixels.size());

  const bool change_columns =
      size.width != image.width || box.left != 0 || box.right != static_cast<float>(size.width);
  const bool change_rows =
      size.height != image.height || box.top != 0 || box.bottom != static_cast<float>(size.height);
  const Axis rows = axis_weights(kernel, {image.height, box.top, box.bottom}, size.height);
  const bool columns_before_rows = columns_first(image, size);
  Rows needed{0, static_cast<std::size_t>(size.height)};
  if (columns_before_rows) {  // rows that no result looks at are left out
    needed.first = static_cast<std::size_t>(rows.ranges.front().first);
    needed.count = static_cast<std::size_t>(rows.ranges.back().first + rows.ranges.back().count) -
                   needed.first;
  }
  const auto do_columns = [&] {
    if (!change_columns) return;
    const Axis columns = axis_weights(kernel, {image.width, box.left, box.right}, size.width);
    plane = resample_columns<Depth, Channels>(plane, needed, columns);
  };
  const auto do_rows = [&](std::size_t first_row) {
    if (change_rows) plane = resample_rows<Depth>(plane, first_row, rows);
  };
  if (columns_before_rows) {
    do_columns();
    do_rows(change_columns ? needed.first : 0);
  } else {
    do_rows(0);
    do_columns();
  }
  Image result = blank_image(size.width, size.height, image.format);
  std::memcpy(result.pixels.data(), plane.samples.data(), result.pixels.size());
  return result;
}

Image resample(const Image& image, Size size, const Kernel& kernel, const SourceBox& box) {
  if (image.format == PixelFormat::gray16) {
    return resample<SixteenBit, 1>(image, size, kernel, box);
  }
  if (image.format == PixelFormat::rgb16) {
    return resample<SixteenBit, 3>(image, size, kernel, box);
  }
  if (image.format == PixelFormat::rgb_float) {
    return resample<FloatDepth, 3>(image, size, kernel, box);
  }
  switch (bytes_per_pixel(image.format)) {
    case 1:
      return resample<EightBit, 1>(image, size, kernel, box);
    case 2:
      return resample<EightBit, 2>(image, size, kernel, box);
    case 3:
      return resample<EightBit, 3>(image, size, kernel, box);
    default:
      return resample<EightBit, 4>(image, size, kernel, box);
  }
}

// The source of every result pixel along one axis; -1 where it lies outside (the result is zero).
// Positions are summed up step by step, with the rounding that this brings: ImagingScaleAffine.
std::vector<int> nearest_sources(const Interval& from, int to) {
  const double step = static_cast<double>(from.end - from.begin) / to;
  double position = from.begin + step * 0.5;
  std::vector<int> sources;
  for (int i = 0; i < to; ++i, position += step) {
    const int source = position < 0.0 ? -1 : static_cast<int>(position);
    sources.push_back(source < from.source ? source : -1);
  }
  return sources;
}

Image resize_nearest(const Image& image, Size size, const SourceBox& box) {
  Image result = blank_image(size.width, size.height, image.format);
  result.palette = image.palette;
  const auto columns = nearest_sources({image.width, box.left, box.right}, size.width);
  const auto rows = nearest_sources({image.height, box.top, box.bottom}, size.height);
  const auto bytes = static_cast<std::size_t>(bytes_per_pixel(image.format));
  std::uint8_t* target = result.pixels.data();
  for (const int y : rows) {
    for (const int x : columns) {
      if (x >= 0 && y >= 0) {
        const auto at = static_cast<std::size_t>(y) * static_cast<std::size_t>(image.width) +
                        static_cast<std::size_t>(x);
        std::memcpy(target, &image.pixels[at * bytes], bytes);
      }
      target += bytes;
    }
  }
  return result;
}

void require_resizable(const Image& image, Size size, const SourceBox& box) {
  require_valid(image, "image");
  if (size.width < 1 || size.height < 1 || size.width > kMaxPixels / size.height) {
    throw Error(ErrorCode::invalid_request,
                fmt::format("cannot resize to {}x{} pixels", size.width, size.height));
  }
  if (!(box.left >= 0 && box.top >= 0 && box.left <= box.right && box.top <= box.bottom &&
        box.right <= static_cast<float>(image.width) &&
        box.bottom <= static_cast<float>(image.height))) {
    throw Error(ErrorCode::invalid_request,
                fmt::format("the box {},{} to {},{} leaves an image of {}x{}", box.left, box.top,
                            box.right, box.bottom, image.width, image.height));
  }
}

}  // namespace

Image resize(const Image& image, Size size, Filter filter) {
  return resize(image, size, filter,
                {0, 0, static_cast<float>(image.width), static_cast<float>(image.height)});
}

Image resize(const Image& image, Size size, Filter filter, const SourceBox& box) {
  require_resizable(image, size, box);
  const bool whole = box.left == 0 && box.top == 0 &&
                     box.right == static_cast<float>(image.width) &&
                     box.bottom == static_cast<float>(image.height);
  if (whole && size == Size{image.width, image.height}) return image;

  const bool indexed = image.format == PixelFormat::bilevel || image.format == PixelFormat::palette;
  if (indexed || filter == Filter::nearest) return resize_nearest(image, size, box);

  const bool alpha = image.format == PixelFormat::rgba || image.format == PixelFormat::gray_alpha;
  if (!alpha) return resample(image, size, kernel_of(filter), box);
  Image premultiplied = image;
  premultiply(premultiplied);
  Image result = resample(premultiplied, size, kernel_of(filter), box);
  unpremultiply(result);
  return result;
}

}  // namespace flux2
