#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>

#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/rows.h"

namespace flux2 {
namespace {

// Elements that are handled at a time where rows do not matter, or go through float scratch.
constexpr std::int64_t kChunk = 2048;

// gelu(x) = x (1 + erf(x / sqrt 2)) / 2, in place. Only the vision tower has it, so the library's
// erf will do.
void gelu(float* x, std::int64_t count) {
  constexpr float kInverseRootTwo = 0.70710678f;
  for (std::int64_t i = 0; i < count; ++i)
    x[i] = 0.5f * x[i] * (1.0f + std::erf(x[i] * kInverseRootTwo));
}

// Calls body(x, out, count) for pieces of at most kChunk elements, split among threads.
template <typename Body>
void for_pieces(const Tensor& x, const Tensor& out, Body body) {
  const auto in_size = static_cast<std::int64_t>(size_of(x.dtype()));
  const auto out_size = static_cast<std::int64_t>(size_of(out.dtype()));
  const auto pieces_of_row = [&](const std::byte* from, std::byte* to, std::int64_t count) {
    for (std::int64_t i = 0; i < count; i += kChunk)
      body(from + i * in_size, to + i * out_size, std::min(kChunk, count - i));
  };
  if (x.is_dense() && out.is_dense()) {
    parallel_for(x.elements(), kGrainElements, [&](std::int64_t begin, std::int64_t end) {
      pieces_of_row(x.bytes() + begin * in_size, out.bytes() + begin * out_size, end - begin);
    });
    return;
  }
  const Rows source(x), target(out);
  for_rows(source,
           [&](std::int64_t row) { pieces_of_row(source[row], target[row], source.width()); });
}

}  // namespace

void CpuOps::copy(const Tensor& x, const Tensor& out) {
  assert(x.shape() == out.shape());
  for_pieces(x, out, pick(kernels_.convert, x, out));
}

void CpuOps::activate(const Tensor& x, Activation activation, const Tensor& out) {
  assert(x.shape() == out.shape());
  switch (activation) {
    case Activation::none:
      if (x.bytes() != out.bytes()) copy(x, out);
      return;
    case Activation::silu:
      for_pieces(x, out, pick(kernels_.silu, x, out));
      return;
    case Activation::gelu:
      const auto load = pick(kernels_.convert, x)[static_cast<int>(Element::f32)];
      const auto store = pick(kernels_.convert[static_cast<int>(Element::f32)], out);
      for_pieces(x, out, [&](const void* from, void* to, std::int64_t count) {
        float values[kChunk];
        load(from, values, count);
        gelu(values, count);
        store(values, to, count);
      });
      return;
  }
}

void CpuOps::swiglu(const Tensor& gate_up, const Tensor& out) {
  const std::int64_t width = out.dim(-1);
  assert(gate_up.dim(-1) == 2 * width);
  const auto kernel = pick(kernels_.swiglu, gate_up, out);
  const auto element = static_cast<std::int64_t>(size_of(gate_up.dtype()));
  const Rows source(gate_up), target(out);
  assert(source.count() == target.count());
  for_rows(target, [&](std::int64_t row) {
    const std::byte* gate = source[row];
    kernel(gate, gate + width * element, target[row], width);
  });
}

void CpuOps::add_gated(const Tensor& y, const Tensor& gate, const Tensor& x) {
  assert(x.rank() == 3 && x.shape() == y.shape());
  const Tensor gates = parameter(gate);
  const std::int64_t tokens = x.dim(1), width = x.dim(2);
  const auto kernel = pick(kernels_.add_gated, y, x);
  const Rows source(y), target(x);
  for_rows(target, [&](std::int64_t row) {
    const float* factors = gates.defined() ? gates.f32() + row / tokens * width : nullptr;
    kernel(source[row], factors, target[row], width);
  });
}

void CpuOps::embedding(std::span<const std::int32_t> ids, const Weight& table, const Tensor& out) {
  const StoredTensor& stored = table.prepared<CpuTable>().stored;
  const std::int64_t width = table.shape()[1];
  assert(out.rank() == 2 && out.dim(0) == static_cast<std::int64_t>(ids.size()));
  const auto store = pick(kernels_.convert[static_cast<int>(Element::f32)], out);
  const Rows target(out);
  for_rows(target, [&](std::int64_t row) {
    const std::int64_t id = ids[static_cast<std::size_t>(row)];
    assert(id >= 0 && id < table.shape()[0]);
    thread_local std::vector<float> values;
    values.resize(static_cast<std::size_t>(width));
    read_rows(stored, id, 1, values.data());
    store(values.data(), target[row], width);
  });
}

void CpuOps::upsample_nearest(const Tensor& x, const Tensor& out) {
  const std::int64_t width = x.dim(2), channels = x.dim(3);
  assert(out.dim(0) == x.dim(0) && out.dim(1) == 2 * x.dim(1) && out.dim(2) == 2 * width);
  const auto kernel = pick(kernels_.convert, x, out);
  const Rows source(x), target(out);
  // Reads each pixel once and writes its four copies.
  for_rows(source, [&](std::int64_t pixel) {
    const std::int64_t line = pixel / width, column = pixel % width;
    const std::byte* from = source[pixel];
    for (std::int64_t corner = 0; corner < 4; ++corner) {
      const std::int64_t copy_line = 2 * line + corner / 2, copy_column = 2 * column + corner % 2;
      kernel(from, target[copy_line * 2 * width + copy_column], channels);
    }
  });
}

}  // namespace flux2
