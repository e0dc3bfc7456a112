// What this machine can do at most, as JSON: matmuls of FLUX.2's shapes by oneDNN with weights in
// its own layout, and the speed of memory. Everything else is measured against these.
//
//   peak [THREADS]

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <string>
#include <unordered_map>
#include <vector>

#include "backends/cpu/cpu_ops.h"
#include "backends/cpu/dnnl_primitives.h"
#include "base/parallel.h"

namespace flux2 {
namespace {

constexpr double kSecondsEach = 2.0;
constexpr int kLeastRuns = 3;

// The fastest of the runs that fit into kSecondsEach: a ceiling is not an average.
template <typename Run>
double best_seconds(Run run) {
  using Clock = std::chrono::steady_clock;
  run();
  double best = 1e30, total = 0;
  for (int i = 0; i < kLeastRuns || total < kSecondsEach; ++i) {
    const auto begin = Clock::now();
    run();
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    best = std::min(best, seconds);
    total += seconds;
  }
  return best;
}

struct MatmulShape {
  std::int64_t rows, in, out;
};

dnnl::memory filled(const dnnl::memory::desc& desc, const dnnl::engine& engine) {
  dnnl::memory memory(desc, engine);
  // 0x3f803f80 is 1.0 twice in bf16 and nearly 1.0 in f32: no denormals, no NaN.
  auto* words = static_cast<std::uint32_t*>(memory.get_data_handle());
  std::fill_n(words, desc.get_size() / sizeof(std::uint32_t), 0x3f803f80u);
  return memory;
}

double matmul_gflops(DType dtype, const MatmulShape& shape) {
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  using Tag = dnnl::memory::format_tag;
  const MatmulDescs descs = {.src = {{shape.rows, shape.in}, dnnl_type(dtype), Tag::ab},
                             .weights = {{shape.in, shape.out}, dnnl_type(dtype), Tag::any},
                             .bias = {},
                             .dst = {{shape.rows, shape.out}, dnnl_type(dtype), Tag::ab},
                             .gate = {},
                             .epilogue = Epilogue::store};
  DnnlPrimitive made = make_matmul(descs, engine);
  const std::unordered_map<int, dnnl::memory> arguments = {
      {DNNL_ARG_SRC, filled(descs.src, engine)},
      {DNNL_ARG_WEIGHTS, filled(made.weights, engine)},
      {DNNL_ARG_DST, filled(descs.dst, engine)},
      {DNNL_ARG_SCRATCHPAD, dnnl::memory(made.scratchpad, engine)}};
  const double seconds = best_seconds([&] {
    made.primitive.execute(stream, arguments);
    stream.wait();
  });
  const auto multiplies = static_cast<double>(shape.rows * shape.in * shape.out);
  return 2e-9 * multiplies / seconds;
}

struct Bandwidth {
  double read, copy;  // GB/s; a copied byte counts twice
};

Bandwidth memory_bandwidth() {
  constexpr std::int64_t kWords = std::int64_t{1} << 26;  // 512 MiB: past every cache
  constexpr auto kBytes = static_cast<double>(kWords) * sizeof(std::uint64_t);
  std::vector<std::uint64_t> from(kWords, 1), to(kWords, 0);
  std::vector<std::uint64_t> sums(static_cast<std::size_t>(kWords) >> 16);
  const double read = best_seconds([&] {
    parallel_for(kWords >> 16, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const auto first = from.begin() + (i << 16);
        sums[static_cast<std::size_t>(i)] = std::accumulate(first, first + (1 << 16), 0ull);
      }
    });
  });
  const double copy = best_seconds([&] {
    parallel_for(kWords, 1 << 16, [&](std::int64_t begin, std::int64_t end) {
      std::memcpy(to.data() + begin, from.data() + begin,
                  static_cast<std::size_t>(end - begin) * sizeof(std::uint64_t));
    });
  });
  return {.read = 1e-9 * kBytes / read, .copy = 2e-9 * kBytes / copy};
}

std::string matmuls(DType dtype) {
  std::string rows;
  for (const MatmulShape& shape : {MatmulShape{512, 2560, 9728},
                                   {768, 3072, 3072},
                                   {768, 3072, 27648},
                                   {768, 12288, 3072},
                                   {4608, 3072, 27648}}) {
    rows += fmt::format("{}\n      \"{}x{}x{}\": {:.1f}", rows.empty() ? "" : ",", shape.rows,
                        shape.in, shape.out, matmul_gflops(dtype, shape));
  }
  return rows;
}

void print_peaks() {
  std::string types = fmt::format("\n    \"f32\": {{{}\n    }}", matmuls(DType::f32));
  if (best_isa() == Isa::avx512_bf16) {
    types += fmt::format(",\n    \"bf16\": {{{}\n    }}", matmuls(DType::bf16));
  }
  const Bandwidth bandwidth = memory_bandwidth();
  fmt::print(
      "{{\n  \"threads\": {},\n  \"isa\": \"{}\",\n  \"matmul_gflops\": {{{}\n  }},\n"
      "  \"memory_gb_per_second\": {{\"read\": {:.1f}, \"copy\": {:.1f}}}\n}}\n",
      thread_count(), name_of(best_isa()), types, bandwidth.read, bandwidth.copy);
}

}  // namespace
}  // namespace flux2

int main(int argc, char** argv) {
  // set_thread_count takes no less than one, which is also what a word comes to.
  flux2::set_thread_count(argc > 1 ? std::atoi(argv[1]) : flux2::available_cores());
  flux2::print_peaks();
  return 0;
}
