#include "pipeline/machine_rates.h"

#include <fmt/format.h>

#include <algorithm>

#include "backends/cpu/ceilings.h"
#include "base/parallel.h"

namespace flux2 {
namespace {

constexpr double kSecondsEach = 0.15;
constexpr MatmulShape kShape = {.rows = 768, .in = 3072, .out = 9216};
// Of the ceiling: what linear layers, attention and convolutions reach (docs/performance.md).
constexpr double kReached = 0.95;
// Two Zen 4 cores: passes over activations, and weights from the page cache to prepared.
constexpr double kMemoryBytes = 1.2e10;
constexpr double kPreparedBytes = 4e9;
// The first write to a page: on a virtual machine the host's to give.
constexpr double kFreshBytes = 2e9;

}  // namespace

MachineRates measure_rates(const Backend& backend) {
  set_thread_count(backend.threads);
  const bool bf16 = backend.operand_size() == 2;
  MachineRates rates;
  rates.memory_bytes = kMemoryBytes;
  rates.prepared_bytes = kPreparedBytes;
  rates.fresh_bytes = kFreshBytes;
  rates.matmul_flops =
      kReached * matmul_ceiling(bf16 ? MatmulType::bf16 : MatmulType::f32, kShape, kSecondsEach);
  rates.int8_flops = kReached * matmul_ceiling(MatmulType::int8, kShape, kSecondsEach);
  rates.from = fmt::format("matmuls in {} measured, memory as stored", bf16 ? "bf16" : "f32");
  return rates;
}

double seconds_of(const RehearsedStage& stage, const MachineRates& rates) {
  double seconds = stage.prepared_bytes / rates.prepared_bytes;
  for (const OpTiming& op : stage.ops) {
    const bool int8 = stage.linear_type == "int8" && op.name.starts_with("linear");
    const double computing = op.flops / (int8 ? rates.int8_flops : rates.matmul_flops);
    // A product of few rows waits for its weights, an operation without FLOP for its tensors.
    seconds += std::max(computing, op.flops > 0 ? 0 : op.bytes / rates.memory_bytes);
  }
  return seconds;
}

}  // namespace flux2
