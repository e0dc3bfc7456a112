#include "conformance/backends.h"

#include "backends/reference/reference_ops.h"

namespace flux2::conformance {
namespace {

Backend cpu(const std::string& name, ComputeType compute, Isa isa) {
  return {.name = name, .compute = compute, .needs = isa, .make = [compute, isa] {
            return make_cpu_ops({.compute = compute, .most = isa});
          }};
}

}  // namespace

const std::vector<Backend>& backends() {
  // oneDNN emulates bf16 on plain AVX-512; with AVX2 alone it has none.
  static const std::vector<Backend> list = {
      {.name = "reference", .compute = ComputeType::f32, .needs = {}, .make = make_reference_ops},
      cpu("cpu_f32_avx2", ComputeType::f32, Isa::avx2),
      cpu("cpu_f32_avx512", ComputeType::f32, Isa::avx512),
      cpu("cpu_bf16_avx512", ComputeType::bf16, Isa::avx512),
      cpu("cpu_bf16_avx512_bf16", ComputeType::bf16, Isa::avx512_bf16),
      cpu("cpu_bf16_avx512_amx", ComputeType::bf16, Isa::avx512_amx),
  };
  return list;
}

const std::vector<Backend>& int8_backends() {
  static const std::vector<Backend> list = {
      cpu("cpu_int8_avx2", ComputeType::int8, Isa::avx2),
      cpu("cpu_int8_avx512", ComputeType::int8, Isa::avx512),
      cpu("cpu_int8_avx512_vnni", ComputeType::int8, Isa::avx512_vnni),
      cpu("cpu_int8_avx512_bf16", ComputeType::int8, Isa::avx512_bf16),
      cpu("cpu_int8_avx512_amx", ComputeType::int8, Isa::avx512_amx),
  };
  return list;
}

std::string reason_to_skip(const Backend& backend) {
  if (!backend.needs) return {};
  const Isa best = best_isa();
  if (best >= *backend.needs) return {};
  return "needs " + std::string(name_of(*backend.needs)) + ", this processor has " +
         std::string(name_of(best));
}

}  // namespace flux2::conformance
