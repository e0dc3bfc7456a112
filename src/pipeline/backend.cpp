#include "pipeline/backend.h"

#include <fmt/format.h>

#include "backends/cpu/cpu_ops.h"
#include "backends/cuda/cuda_ops.h"
#include "base/parallel.h"

namespace flux2 {
namespace {

Compute chosen(Compute wanted) {
  if (wanted != Compute::automatic) return wanted;
  return best_isa() == Isa::avx512_bf16 ? Compute::bf16 : Compute::f32;
}

}  // namespace

std::string describe_backend(const Backend& backend) {
  return fmt::format("{}, {} thread{}", backend.ops->name(), backend.threads,
                     backend.threads == 1 ? "" : "s");
}

Backend make_backend(const PipelineOptions& options) {
  if (options.threads < 0) {
    throw Error(ErrorCode::invalid_request, "threads must not be negative");
  }
  if (options.device == Device::cuda) return {make_cuda_ops(), Compute::bf16, 1};
  Backend backend;
  backend.threads = options.threads > 0 ? options.threads : available_cores();
  backend.compute = chosen(options.compute);
  const bool bf16 = backend.compute == Compute::bf16;
  backend.ops = make_cpu_ops({.compute = bf16 ? ComputeType::bf16 : ComputeType::f32, .most = {}});
  return backend;
}

}  // namespace flux2
