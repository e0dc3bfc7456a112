// Attention of FLUX.2's shapes beside the machine's own ceiling, oneDNN's matmul in the same type:
//   bench_attention --benchmark_repetitions=3
// FLOPS counts 4 Lq Lk d a head. It is per second of processor time with one thread, so that
// neighbours on a busy machine hardly matter, and per second of the clock with more. Compare the
// best of the repetitions, at the same number of threads.

#include <benchmark/benchmark.h>

#include <functional>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>

#include "backends/cpu/attention.h"
#include "base/parallel.h"

namespace {

using flux2::CpuAttention;
using flux2::DType;
using flux2::Isa;
using flux2::Tensor;

struct Shape {
  std::int64_t tokens;
  std::int64_t heads;
  std::int64_t width;
};

struct Variant {
  const char* name;
  Isa isa;
  DType dtype;
};

constexpr Variant kVariants[] = {{"avx512_amx/bf16", Isa::avx512_amx, DType::bf16},
                                 {"avx512_bf16/bf16", Isa::avx512_bf16, DType::bf16},
                                 {"avx512/f32", Isa::avx512, DType::f32},
                                 {"avx2/f32", Isa::avx2, DType::f32}};

bool runs_here(Isa isa) {
  return isa <= flux2::processor_isa();
}

// Values of both signs, about one in size.
void fill(const Tensor& tensor) {
  std::uint32_t state = 1;
  for (std::int64_t i = 0; i < tensor.elements(); ++i) {
    state = state * 1664525u + 1013904223u;
    const float value = static_cast<float>(state >> 8) * 0x1p-22f - 2.0f;
    if (tensor.dtype() == DType::f32) {
      tensor.f32()[i] = value;
    } else {
      tensor.bf16()[i] = flux2::BFloat16(value);
    }
  }
}

void count_flops(benchmark::State& state, double flops) {
  state.counters["FLOPS"] =
      benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
}

// q, k and v as a model has them: columns of one wide row.
void attention(benchmark::State& state, Variant variant, Shape shape, int threads) {
  const std::int64_t columns = shape.heads * shape.width;
  const Tensor qkv = flux2::make_host_tensor({1, shape.tokens, 3 * columns}, variant.dtype);
  const Tensor out =
      flux2::make_host_tensor({1, shape.tokens, shape.heads, shape.width}, variant.dtype);
  fill(qkv);
  const auto part = [&](std::int64_t index) {
    return qkv.slice(2, index * columns, columns).view({1, shape.tokens, shape.heads, shape.width});
  };
  flux2::set_thread_count(threads);
  CpuAttention run(variant.isa);
  for (auto _ : state)
    run(part(0), part(1), part(2), {}, out);
  const double tokens = static_cast<double>(shape.tokens);
  count_flops(state, 4.0 * tokens * tokens * static_cast<double>(columns));
}

// One token against a cache of `shape.tokens` keys, four query heads a key head.
void decode(benchmark::State& state, Variant variant, Shape shape, int threads) {
  const Tensor q = flux2::make_host_tensor({1, 1, 4 * shape.heads, shape.width}, variant.dtype);
  const Tensor k =
      flux2::make_host_tensor({1, shape.tokens, shape.heads, shape.width}, variant.dtype);
  const Tensor v = flux2::make_host_tensor(k.shape(), variant.dtype);
  const Tensor out = flux2::make_host_tensor(q.shape(), variant.dtype);
  for (const Tensor& tensor : {q, k, v})
    fill(tensor);
  flux2::set_thread_count(threads);
  CpuAttention run(variant.isa);
  for (auto _ : state)
    run(q, k, v, {}, out);
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * 2 *
                          static_cast<std::int64_t>(bytes_for(k.shape(), k.dtype())));
}

// The ceiling: a square product of `size`, the weights in the layout that oneDNN chooses.
void matmul(benchmark::State& state, DType dtype, std::int64_t size, int threads) {
  using tag = dnnl::memory::format_tag;
  const auto type =
      dtype == DType::f32 ? dnnl::memory::data_type::f32 : dnnl::memory::data_type::bf16;
  flux2::set_thread_count(threads);
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  const dnnl::memory::desc plain({size, size}, type, tag::ab);
  const dnnl::memory::desc any({size, size}, type, tag::any);
  const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(plain, any, plain), engine);
  const Tensor values = flux2::make_host_tensor({size, size}, dtype);
  fill(values);
  dnnl::memory x(plain, engine, values.bytes());
  dnnl::memory weights(description.weights_desc(), engine);
  dnnl::memory out(plain, engine);
  dnnl::reorder(x, weights).execute(stream, x, weights);
  const dnnl::matmul product(description);
  for (auto _ : state) {
    product.execute(stream, {{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DST, out}});
    stream.wait();
  }
  const double side = static_cast<double>(size);
  count_flops(state, 2.0 * side * side * side);
}

void add(const std::string& name, int threads, const std::function<void(benchmark::State&)>& body) {
  const std::string full = name + "/threads:" + std::to_string(threads);
  auto* added = benchmark::RegisterBenchmark(full.c_str(), body)->Unit(benchmark::kMillisecond);
  if (threads > 1) added->UseRealTime();
}

void add_variant(const Variant& variant, int threads) {
  const std::string prefix = std::string(variant.name) + "/";
  for (const Shape shape :
       {Shape{768, 24, 128}, {1536, 24, 128}, {4608, 24, 128}, {4096, 1, 512}, {16384, 1, 512}}) {
    const std::string size = std::to_string(shape.tokens) + "x" + std::to_string(shape.heads) +
                             "x" + std::to_string(shape.width);
    add("attention/" + prefix + size, threads,
        [=](benchmark::State& state) { attention(state, variant, shape, threads); });
  }
  add("decode/" + prefix + "2048x8x128", threads, [=](benchmark::State& state) {
    decode(state, variant, {2048, 8, 128}, threads);
  });
}

void add_all(int threads) {
  for (const DType dtype : {DType::bf16, DType::f32}) {
    if (dtype == DType::bf16 && !runs_here(Isa::avx512_bf16)) continue;
    add(dtype == DType::f32 ? "matmul/f32/4096" : "matmul/bf16/4096", threads,
        [=](benchmark::State& state) { matmul(state, dtype, 4096, threads); });
  }
  for (const Variant& variant : kVariants) {
    if (runs_here(variant.isa)) add_variant(variant, threads);
  }
}

}  // namespace

int main(int count, char** arguments) {
  benchmark::Initialize(&count, arguments);
  if (benchmark::ReportUnrecognizedArguments(count, arguments)) return 2;
  const int cores = flux2::available_cores();
  add_all(1);
  if (cores > 1) add_all(cores);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
