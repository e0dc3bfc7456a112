#include "pipeline/backend.h"

#include <fmt/format.h>

#include "backends/cpu/cpu_ops.h"
#include "backends/cuda/cuda_ops.h"
#include "base/parallel.h"
#include "base/pinning.h"

namespace flux2 {
namespace {

Compute chosen(Compute wanted, Isa isa) {
  if (wanted != Compute::automatic) return wanted;
  return isa >= Isa::avx512_bf16 ? Compute::bf16 : Compute::f32;
}

Isa isa_of(InstructionSet wanted) {
  switch (wanted) {
    case InstructionSet::avx2:
      return Isa::avx2;
    case InstructionSet::avx512:
      return Isa::avx512;
    case InstructionSet::avx512_vnni:
      return Isa::avx512_vnni;
    case InstructionSet::avx512_bf16:
      return Isa::avx512_bf16;
    case InstructionSet::avx512_amx:
      return Isa::avx512_amx;
    case InstructionSet::automatic:
      break;
  }
  return best_isa();
}

// What may be used, made known to the libraries underneath as well.
Isa limit_isa(InstructionSet wanted) {
  if (wanted == InstructionSet::automatic) return best_isa();
  const Isa isa = isa_of(wanted), best = processor_isa();
  if (isa > best) {
    throw Error(ErrorCode::invalid_request,
                "this processor has no " + std::string(name_of(isa)) + ", only " +
                    std::string(name_of(best)),
                "isa");
  }
  limit_process_isa(isa);
  return isa;
}

ComputeType type_of(Compute compute) {
  switch (compute) {
    case Compute::bf16:
      return ComputeType::bf16;
    case Compute::int8:
      return ComputeType::int8;
    case Compute::automatic:
    case Compute::f32:
      break;
  }
  return ComputeType::f32;
}

}  // namespace

std::vector<int> processors_to_pin(const Backend& backend) {
  if (backend.pinning == Pinning::off) return {};
  std::vector<int> processors = processors_of_cores();
  if (backend.pinning == Pinning::on) return processors;
  const bool all_cores = processors.size() == static_cast<std::size_t>(backend.threads);
  if (!all_cores || !may_pin_freely()) return {};
  return processors;
}

std::string describe_backend(const Backend& backend) {
  return fmt::format("{}, {} thread{}", backend.ops->name(), backend.threads,
                     backend.threads == 1 ? "" : "s");
}

std::int64_t Backend::operand_size() const {
  return static_cast<std::int64_t>(size_of(ops->empty({1}, Role::operand).dtype()));
}

Backend make_backend(const PipelineOptions& options) {
  if (options.threads < 0) {
    throw Error(ErrorCode::invalid_request, "threads must not be negative");
  }
  if (options.device == Device::cuda) {
    return {.ops = std::make_unique<StreamingOps>(make_cuda_ops()), .compute = Compute::bf16};
  }
  const Isa isa = limit_isa(options.isa);
  Backend backend;
  backend.threads = options.threads > 0 ? options.threads : available_cores();
  backend.pinning = options.pinning;
  backend.compute = chosen(options.compute, isa);
  backend.cpu = {.compute = type_of(backend.compute),
                 .most = isa,
                 .integers = options.compute == Compute::automatic ? StoredIntegers::kept
                                                                   : StoredIntegers::converted};
  backend.ops = std::make_unique<StreamingOps>(make_cpu_ops(backend.cpu));
  return backend;
}

std::unique_ptr<FootprintOps> make_footprint_ops(const Backend& backend) {
  return std::make_unique<FootprintOps>(backend.cpu);
}

}  // namespace flux2
