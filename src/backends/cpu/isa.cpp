#include <algorithm>

#include "backends/cpu/cpu_ops.h"
#include "base/tile_registers.h"
#include "flux2/error.h"

namespace flux2 {

std::string_view name_of(Isa isa) {
  switch (isa) {
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
    case Isa::avx512_vnni:
      return "avx512-vnni";
    case Isa::avx512_bf16:
      return "avx512-bf16";
    case Isa::avx512_amx:
      return "avx512-amx";
  }
  return "?";
}

std::optional<Isa> isa_named(std::string_view name) {
  for (const Isa isa :
       {Isa::avx2, Isa::avx512, Isa::avx512_vnni, Isa::avx512_bf16, Isa::avx512_amx}) {
    if (name == name_of(isa)) return isa;
  }
  return {};
}

// The compiler's builtin also asks whether the operating system saves the wide registers.
Isa processor_isa() {
  const bool avx2 = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
  if (!avx2) {
    throw Error(ErrorCode::invalid_request,
                "this processor has no AVX2, which the CPU backend needs", "",
                "run on an x86-64 processor from 2013 or later");
  }
  const bool avx512 =
      __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
      __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
  if (!avx512) return Isa::avx2;
  if (__builtin_cpu_supports("avx512vnni") == 0) return Isa::avx512;
  if (__builtin_cpu_supports("avx512bf16") == 0) return Isa::avx512_vnni;
  return may_use_tiles() ? Isa::avx512_amx : Isa::avx512_bf16;
}

Isa best_isa() {
  const Isa processor = processor_isa();
  return std::min(processor, process_isa_limit().value_or(processor));
}

}  // namespace flux2
