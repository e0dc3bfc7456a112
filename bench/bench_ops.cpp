// Single operations of the CPU backend at FLUX.2's shapes (klein 4B and its VAE): GFLOP/s for
// matmuls and convolutions, GB/s of what must move for everything else.
//
//   bench_ops --benchmark_filter=linear.*bf16

#include <benchmark/benchmark.h>

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "backends/cpu/cpu_ops.h"
#include "base/parallel.h"

namespace flux2 {
namespace {

// A weight as it would lie in a checkpoint. Its values repeat: no kernel's speed depends on them.
StoredTensor stored(const Shape& shape) {
  auto values = std::make_shared<std::vector<BFloat16>>(static_cast<std::size_t>(shape.elements()));
  float value = 0.0f;
  for (BFloat16& element : *values) {
    value = value > 0.9f ? -0.9f : value + 0.01f;
    element = BFloat16(value);
  }
  return {.name = "weight",
          .file = "memory",
          .dtype = DType::bf16,
          .shape = shape,
          .bytes = std::as_bytes(std::span(*values)),
          .owner = values};
}

Tensor filled(Ops& ops, const Shape& shape, Role role) {
  const Tensor host = make_host_tensor(shape);
  float value = -1.0f;
  for (std::int64_t i = 0; i < host.elements(); ++i) {
    value = value > 0.99f ? -1.0f : value + 0.007f;
    host.f32()[i] = value;
  }
  return ops.upload(host, role);
}

std::unique_ptr<Ops> ops_for(ComputeType compute) {
  set_thread_count(available_cores());
  return make_cpu_ops({.compute = compute, .most = {}});
}

void report(benchmark::State& state, const char* unit, double amount) {
  state.counters[unit] =
      benchmark::Counter(amount * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

double bytes_of(std::initializer_list<Tensor> tensors) {
  double bytes = 0;
  for (const Tensor& tensor : tensors)
    bytes += static_cast<double>(bytes_for(tensor.shape(), tensor.dtype()));
  return bytes;
}

struct LinearShape {
  std::int64_t rows, in, out;
};

enum class LinearKind { operand, stream, add_gated };

void linear(benchmark::State& state, ComputeType compute, LinearShape shape, LinearKind kind) {
  const auto ops = ops_for(compute);
  const StoredTensor rows = stored({shape.out, shape.in});
  const Weight weight = ops->prepare_linear({&rows, 1}, {});
  const Tensor x = filled(*ops, {1, shape.rows, shape.in}, Role::operand);
  const Tensor gate = filled(*ops, {1, shape.out}, Role::stream);
  const Role role = kind == LinearKind::operand ? Role::operand : Role::stream;
  const Tensor out = filled(*ops, {1, shape.rows, shape.out}, role);
  for (auto _ : state) {
    if (kind == LinearKind::add_gated) {
      ops->linear_add_gated(x, weight, gate, out);
    } else {
      ops->linear(x, weight, out);
    }
  }
  const double multiplies =
      static_cast<double>(shape.rows * shape.in) * static_cast<double>(shape.out);
  report(state, "GFLOP/s", 2 * multiplies);
  if (shape.rows == 1) report(state, "GB/s", bytes_of({x}) * static_cast<double>(shape.out));
}

void prepare_linear(benchmark::State& state, ComputeType compute) {
  const auto ops = ops_for(compute);
  const StoredTensor rows = stored({9216, 3072});
  for (auto _ : state)
    benchmark::DoNotOptimize(ops->prepare_linear({&rows, 1}, {}));
  report(state, "GB/s", static_cast<double>(rows.bytes.size()));
}

struct ConvShape {
  std::int64_t in, out, side;
};

enum class ConvKind { operand, add };

void conv2d(benchmark::State& state, ComputeType compute, ConvShape shape, ConvKind kind) {
  const auto ops = ops_for(compute);
  const Weight weight = ops->prepare_conv2d(stored({shape.out, shape.in, 3, 3}), {});
  const Tensor x = filled(*ops, {1, shape.side, shape.side, shape.in}, Role::operand);
  const Role role = kind == ConvKind::add ? Role::stream : Role::operand;
  const Tensor out = filled(*ops, {1, shape.side, shape.side, shape.out}, role);
  for (auto _ : state) {
    if (kind == ConvKind::add) {
      ops->conv2d_add(x, weight, {}, out);
    } else {
      ops->conv2d(x, weight, {}, out);
    }
  }
  const double pixels = static_cast<double>(shape.side * shape.side);
  report(state, "GFLOP/s", 2 * 9 * pixels * static_cast<double>(shape.in * shape.out));
}

constexpr std::int64_t kTokens = 1536, kWidth = 3072, kHeads = 24, kHeadWidth = 128;

void adaln(benchmark::State& state, ComputeType compute) {
  const auto ops = ops_for(compute);
  const Tensor x = filled(*ops, {1, kTokens, kWidth}, Role::stream);
  const Tensor scale = filled(*ops, {1, kWidth}, Role::stream);
  const Tensor out = filled(*ops, x.shape(), Role::operand);
  for (auto _ : state)
    ops->adaln(x, scale, scale, 1e-6f, out);
  report(state, "GB/s", bytes_of({x, out}));
}

void rms_norm_rope(benchmark::State& state, ComputeType compute, RopeLayout layout) {
  const auto ops = ops_for(compute);
  const Tensor x = filled(*ops, {1, kTokens, kHeads, kHeadWidth}, Role::operand);
  const Tensor weight = filled(*ops, {kHeadWidth}, Role::stream);
  const Tensor angles = filled(*ops, {kTokens, kHeadWidth / 2}, Role::stream);
  for (auto _ : state)
    ops->rms_norm_rope(x, weight, 1e-6f, {angles, angles}, layout);
  report(state, "GB/s", bytes_of({x, x}));
}

void swiglu(benchmark::State& state, ComputeType compute) {
  const auto ops = ops_for(compute);
  const Tensor x = filled(*ops, {1, kTokens, 6 * kWidth}, Role::operand);
  const Tensor out = filled(*ops, {1, kTokens, 3 * kWidth}, Role::operand);
  for (auto _ : state)
    ops->swiglu(x, out);
  report(state, "GB/s", bytes_of({x, out}));
}

void group_norm(benchmark::State& state, ComputeType compute, ConvShape shape) {
  const auto ops = ops_for(compute);
  const Tensor x = filled(*ops, {1, shape.side, shape.side, shape.in}, Role::stream);
  const Tensor out = filled(*ops, x.shape(), Role::operand);
  const GroupNorm norm = {.weight = filled(*ops, {shape.in}, Role::stream),
                          .bias = filled(*ops, {shape.in}, Role::stream)};
  for (auto _ : state)
    ops->group_norm(x, norm, Activation::silu, out);
  report(state, "GB/s", bytes_of({x, x, out}));
}

template <typename... Args>
void add(const std::string& name, Args... args) {
  benchmark::RegisterBenchmark(name.c_str(), args...)->Unit(benchmark::kMillisecond)->UseRealTime();
}

void add_linears(const std::string& type, ComputeType compute) {
  for (const std::int64_t rows : {768, 1536, 4608}) {
    for (const auto& [in, out] :
         {std::pair{3072, 27648}, {3072, 9216}, {3072, 3072}, {12288, 3072}}) {
      const LinearShape shape = {rows, in, out};
      const std::string name = "/" + type + "/" + std::to_string(rows) + "x" + std::to_string(in) +
                               "x" + std::to_string(out);
      add("linear" + name, linear, compute, shape, LinearKind::operand);
      if (out != 3072) continue;
      add("linear_stream" + name, linear, compute, shape, LinearKind::stream);
      add("linear_add_gated" + name, linear, compute, shape, LinearKind::add_gated);
    }
  }
  add("linear/" + type + "/1x3072x18432", linear, compute, LinearShape{1, 3072, 18432},
      LinearKind::stream);
  add("prepare_linear/" + type, prepare_linear, compute);
}

void add_convolutions(const std::string& type, ComputeType compute) {
  for (const ConvShape& shape : {ConvShape{512, 512, 128},
                                 {512, 512, 256},
                                 {256, 256, 512},
                                 {128, 128, 1024},
                                 {128, 3, 1024}}) {
    const std::string name = "/" + type + "/" + std::to_string(shape.in) + "to" +
                             std::to_string(shape.out) + "x" + std::to_string(shape.side);
    add("conv2d" + name, conv2d, compute, shape, ConvKind::operand);
    add("conv2d_add" + name, conv2d, compute, shape, ConvKind::add);
    if (shape.out != 3) add("group_norm" + name, group_norm, compute, shape);
  }
}

void add_all(const std::string& type, ComputeType compute) {
  add_linears(type, compute);
  add_convolutions(type, compute);
  add("adaln/" + type, adaln, compute);
  add("rms_norm_rope_pairs/" + type, rms_norm_rope, compute, RopeLayout::pairs);
  add("rms_norm_rope_halves/" + type, rms_norm_rope, compute, RopeLayout::halves);
  add("swiglu/" + type, swiglu, compute);
}

}  // namespace
}  // namespace flux2

int main(int argc, char** argv) {
  flux2::add_all("f32", flux2::ComputeType::f32);
  flux2::add_all("bf16", flux2::ComputeType::bf16);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
