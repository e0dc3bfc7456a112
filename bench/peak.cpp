// What this machine can do at most, as JSON: matmuls of FLUX.2's shapes by oneDNN with weights in
// its own layout, and the speed of memory. Everything else is measured against these.
//
//   peak [THREADS] [ISA]
//
// ISA, avx2 | avx512 | avx512-vnni | avx512-bf16 | avx512-amx, is the most of the processor that is
// used.

#include <fmt/format.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "backends/cpu/ceilings.h"
#include "backends/cpu/cpu_ops.h"
#include "base/parallel.h"

namespace flux2 {
namespace {

constexpr double kSecondsEach = 1.0;

std::string matmuls(MatmulType type) {
  std::string rows;
  for (const MatmulShape& shape : {MatmulShape{512, 2560, 9728},
                                   {768, 3072, 3072},
                                   {768, 3072, 27648},
                                   {768, 12288, 3072},
                                   {4608, 3072, 27648}}) {
    rows += fmt::format("{}\n      \"{}x{}x{}\": {:.1f}", rows.empty() ? "" : ",", shape.rows,
                        shape.in, shape.out, 1e-9 * matmul_ceiling(type, shape, kSecondsEach));
  }
  return rows;
}

void print_peaks() {
  std::string types = fmt::format("\n    \"f32\": {{{}\n    }}", matmuls(MatmulType::f32));
  if (best_isa() >= Isa::avx512_bf16) {
    types += fmt::format(",\n    \"bf16\": {{{}\n    }}", matmuls(MatmulType::bf16));
  }
  types += fmt::format(",\n    \"int8\": {{{}\n    }}", matmuls(MatmulType::int8));
  const Bandwidth bandwidth = measure_bandwidth(kSecondsEach);
  fmt::print(
      "{{\n  \"threads\": {},\n  \"isa\": \"{}\",\n  \"matmul_gflops\": {{{}\n  }},\n"
      "  \"memory_gb_per_second\": {{\"read\": {:.1f}, \"copy\": {:.1f}}}\n}}\n",
      thread_count(), name_of(best_isa()), types, 1e-9 * bandwidth.read, 1e-9 * bandwidth.copy);
}

}  // namespace
}  // namespace flux2

int main(int argc, char** argv) {
  // set_thread_count takes no less than one, which is also what a word comes to.
  flux2::set_thread_count(argc > 1 ? std::atoi(argv[1]) : flux2::available_cores());
  const auto isa = argc > 2 ? flux2::isa_named(argv[2]) : flux2::best_isa();
  if (!isa) {
    fmt::print(stderr, "peak: {} is not an instruction set\n", argv[2]);
    return 2;
  }
  flux2::limit_process_isa(*isa);
  flux2::print_peaks();
  return 0;
}
