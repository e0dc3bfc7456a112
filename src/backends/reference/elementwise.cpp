#include <algorithm>
#include <cassert>
#include <cmath>
#include <numbers>

#include "backends/reference/elements.h"
#include "backends/reference/reference_backend.h"

namespace flux2::reference {

double apply(Activation activation, double x) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::silu:
      return x / (1.0 + std::exp(-x));
    case Activation::gelu:
      return 0.5 * x * (1.0 + std::erf(x / std::numbers::sqrt2));
  }
  return x;
}

void ReferenceOps::swiglu(const Tensor& gate_up, const Tensor& out) {
  const std::int64_t width = out.dim(-1);
  assert(gate_up.dim(-1) == 2 * width && rows_of(gate_up) == rows_of(out));
  const std::vector<float> inputs = read(gate_up);
  std::vector<double> results(index(out.elements()));
  for_each(rows_of(out), width, [&](std::int64_t row) {
    const float* gate = &inputs[index(row * 2 * width)];
    const float* up = gate + width;
    for (std::int64_t j = 0; j < width; ++j) {
      results[index(row * width + j)] =
          apply(Activation::silu, static_cast<double>(gate[j])) * static_cast<double>(up[j]);
    }
  });
  write(out, results);
}

void ReferenceOps::activate(const Tensor& x, Activation activation, const Tensor& out) {
  assert(x.shape() == out.shape());
  const std::vector<float> inputs = read(x);
  std::vector<double> results(inputs.size());
  for_each(x.elements(), 8, [&](std::int64_t i) {
    results[index(i)] = apply(activation, static_cast<double>(inputs[index(i)]));
  });
  write(out, results);
}

void ReferenceOps::add_gated(const Tensor& y, const Tensor& gate, const Tensor& x) {
  const std::int64_t tokens = x.dim(1), width = x.dim(2);
  assert(x.rank() == 3 && x.shape() == y.shape());
  assert(!gate.defined() || (gate.dim(0) == x.dim(0) && gate.dim(1) == width));
  const std::vector<float> added = read(y), before = read(x);
  const std::vector<float> gates = gate.defined() ? read(gate) : std::vector<float>();
  std::vector<double> results(before.size());
  for_each(x.dim(0) * tokens, width, [&](std::int64_t row) {
    for (std::int64_t j = 0; j < width; ++j) {
      const std::size_t at = index(row * width + j);
      const double factor =
          gate.defined() ? static_cast<double>(gates[index(row / tokens * width + j)]) : 1.0;
      results[at] = static_cast<double>(before[at]) + factor * static_cast<double>(added[at]);
    }
  });
  write(x, results);
}

void ReferenceOps::embedding(std::span<const std::int32_t> ids, const Weight& table,
                             const Tensor& out) {
  const std::int64_t width = table.shape()[1];
  assert(out.rank() == 2 && out.dim(0) == static_cast<std::int64_t>(ids.size()));
  assert(out.dim(1) == width);
  const std::vector<float>& values = table.prepared<FloatWeight>().values;
  std::vector<double> results(index(out.elements()));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    assert(ids[i] >= 0 && ids[i] < table.shape()[0]);
    const float* row = values.data() + ids[i] * width;
    std::copy(row, row + width, results.data() + i * index(width));
  }
  write(out, results);
}

void ReferenceOps::upsample_nearest(const Tensor& x, const Tensor& out) {
  const std::int64_t height = out.dim(1), width = out.dim(2), channels = out.dim(3);
  assert(out.dim(0) == x.dim(0) && height == 2 * x.dim(1) && width == 2 * x.dim(2));
  assert(channels == x.dim(3));
  const std::vector<float> inputs = read(x);
  std::vector<double> results(index(out.elements()));
  for_each(x.dim(0) * height, width * channels, [&](std::int64_t line) {
    const std::int64_t source_line = line / height * x.dim(1) + line % height / 2;
    for (std::int64_t column = 0; column < width; ++column) {
      const float* pixel = &inputs[index((source_line * x.dim(2) + column / 2) * channels)];
      std::copy(pixel, pixel + channels, &results[index((line * width + column) * channels)]);
    }
  });
  write(out, results);
}

void ReferenceOps::copy(const Tensor& x, const Tensor& out) {
  assert(x.shape() == out.shape());
  const std::vector<float> values = read(x);
  write(out, std::vector<double>(values.begin(), values.end()));
}

}  // namespace flux2::reference
