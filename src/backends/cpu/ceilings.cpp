#include "backends/cpu/ceilings.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <numeric>
#include <unordered_map>
#include <vector>

#include "backends/cpu/cpu_ops.h"
#include "backends/cpu/dnnl_primitives.h"
#include "backends/cpu/memory_pool.h"
#include "base/parallel.h"

namespace flux2 {
namespace {

using Tag = dnnl::memory::format_tag;
using Type = dnnl::memory::data_type;

constexpr int kLeastRuns = 3;
// klein 4B: text encoder, a double-stream block, a single-stream block.
constexpr std::array<MatmulShape, 3> kShapes = {
    {{512, 2560, 9728}, {768, 3072, 9216}, {768, 3072, 27648}}};
constexpr std::int64_t kChannels = 512;
constexpr std::int64_t kSide = 64;

// The fastest of the runs that fit into `limit`.
template <typename Run>
double best_seconds(double limit, Run run) {
  using Clock = std::chrono::steady_clock;
  run();
  double best = 1e30;
  double total = 0;
  for (int i = 0; i < kLeastRuns || total < limit; ++i) {
    const auto begin = Clock::now();
    run();
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    best = std::min(best, seconds);
    total += seconds;
  }
  return best;
}

dnnl::memory filled(const dnnl::memory::desc& desc, const dnnl::engine& engine) {
  dnnl::memory memory(desc, engine);
  // 1.0 twice in bf16, nearly 1.0 in f32, small bytes: no denormals, no NaN.
  auto* words = static_cast<std::uint32_t*>(memory.get_data_handle());
  std::fill_n(words, desc.get_size() / sizeof(std::uint32_t), 0x3f803f80u);
  return memory;
}

double seconds_of(DnnlPrimitive made, const dnnl::memory::desc& src, const dnnl::memory::desc& dst,
                  const dnnl::engine& engine, double limit) {
  dnnl::stream stream(engine);
  const std::unordered_map<int, dnnl::memory> arguments = {
      {DNNL_ARG_SRC, filled(src, engine)},
      {DNNL_ARG_WEIGHTS, filled(made.weights, engine)},
      {DNNL_ARG_DST, filled(dst, engine)},
      {DNNL_ARG_SCRATCHPAD, dnnl::memory(made.scratchpad, engine)}};
  return best_seconds(limit, [&] {
    made.primitive.execute(stream, arguments);
    stream.wait();
  });
}

// Element types of a product.
struct Types {
  Type src, weights, dst;
};

Types types_of(MatmulType type) {
  switch (type) {
    case MatmulType::f32:
      return {Type::f32, Type::f32, Type::f32};
    case MatmulType::bf16:
      return {Type::bf16, Type::bf16, Type::bf16};
    case MatmulType::int8:
      break;
  }
  return {Type::u8, Type::s8, Type::s32};
}

double best_matmul(MatmulType type, double seconds) {
  double best = 0;
  for (const MatmulShape& shape : kShapes)
    best = std::max(best, matmul_ceiling(type, shape, seconds));
  return best;
}

double convolution_ceiling(DType dtype, double seconds) {
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  const dnnl::memory::desc picture({1, kChannels, kSide, kSide}, dnnl_type(dtype), Tag::nhwc);
  const ConvGeometry same;
  DnnlPrimitive made =
      make_convolution({.src = picture,
                        .weights = {{kChannels, kChannels, 3, 3}, dnnl_type(dtype), Tag::any},
                        .bias = {},
                        .dst = picture,
                        .geometry = same},
                       engine);
  const double multiplies = 9.0 * kChannels * kChannels * kSide * kSide;
  return 2 * multiplies / seconds_of(std::move(made), picture, picture, engine, seconds);
}

// A sum in the order in which the words lie. The processor's own prefetching stops at pages.
std::uint64_t sum_of(const std::uint64_t* words, std::int64_t count) {
  constexpr std::int64_t kLine = 8, kAhead = 4096 / 8;
  std::uint64_t sums[kLine] = {};
  for (std::int64_t i = 0; i < count; i += kLine) {
    __builtin_prefetch(words + i + kAhead);
    for (std::int64_t k = 0; k < kLine; ++k)
      sums[k] += words[i + k];
  }
  return std::accumulate(sums, sums + kLine, std::uint64_t{0});
}

}  // namespace

double matmul_ceiling(MatmulType type, const MatmulShape& shape, double seconds) {
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  const Types types = types_of(type);
  const MatmulDescs descs = {.src = {{shape.rows, shape.in}, types.src, Tag::ab},
                             .weights = {{shape.in, shape.out}, types.weights, Tag::any},
                             .bias = {},
                             .dst = {{shape.rows, shape.out}, types.dst, Tag::ab},
                             .gate = {},
                             .epilogue = Epilogue::store};
  const double taken =
      seconds_of(make_matmul(descs, engine), descs.src, descs.dst, engine, seconds);
  return 2.0 * static_cast<double>(shape.rows * shape.in * shape.out) / taken;
}

Bandwidth measure_bandwidth(double seconds) {
  constexpr std::int64_t kWords = std::int64_t{1} << 26;
  constexpr std::int64_t kPart = std::int64_t{1} << 16;
  constexpr auto kBytes = static_cast<double>(kWords) * sizeof(std::uint64_t);
  // From the pool, which asks for huge pages, as everything that the backend computes on.
  const auto pool = MemoryPool::make();
  const Tensor source = pool->tensor({2 * kWords}, DType::f32);
  const Tensor target = pool->tensor({2 * kWords}, DType::f32);
  auto* from = source.data<std::uint64_t>();
  auto* to = target.data<std::uint64_t>();
  std::fill_n(from, kWords, 1);
  std::fill_n(to, kWords, 0);
  std::vector<std::uint64_t> sums(static_cast<std::size_t>(kWords / kPart));
  const double read = best_seconds(seconds, [&] {
    parallel_for(kWords / kPart, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        sums[static_cast<std::size_t>(i)] = sum_of(from + i * kPart, kPart);
    });
  });
  const double copy = best_seconds(seconds, [&] {
    parallel_for(kWords, kPart, [&](std::int64_t begin, std::int64_t end) {
      std::memcpy(to + begin, from + begin,
                  static_cast<std::size_t>(end - begin) * sizeof(std::uint64_t));
    });
  });
  return {.read = kBytes / read, .copy = 2 * kBytes / copy};
}

CpuCeilings measure_cpu_ceilings(double seconds) {
  CpuCeilings ceilings;
  const bool bf16 = best_isa() >= Isa::avx512_bf16;
  ceilings.matmul_f32 = best_matmul(MatmulType::f32, seconds);
  if (bf16) ceilings.matmul_bf16 = best_matmul(MatmulType::bf16, seconds);
  ceilings.matmul_int8 = best_matmul(MatmulType::int8, seconds);
  ceilings.convolution = convolution_ceiling(bf16 ? DType::bf16 : DType::f32, seconds);
  const Bandwidth bandwidth = measure_bandwidth(seconds);
  ceilings.read = bandwidth.read;
  ceilings.copy = bandwidth.copy;
  return ceilings;
}

}  // namespace flux2
