#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "ops/ops.h"

namespace flux2 {

/// What matmuls, convolutions and attention multiply in. They accumulate in float either way.
enum class ComputeType {
  f32,
  bf16,  ///< operands rounded to bfloat16
  /// Linear layers whose declaration allows it: weights to 8 bits with a scale an output, inputs
  /// to 8 bits with a scale a row, products summed up exactly. Everything else in bf16 where the
  /// processor has it, else in f32.
  int8,
};

/// Instruction sets that the kernels are built for, each containing the one before.
enum class Isa {
  avx2,         ///< AVX2, FMA and F16C
  avx512,       ///< AVX-512 F, BW, DQ and VL
  avx512_vnni,  ///< and its 8-bit dot products
  avx512_bf16,  ///< and its bfloat16 dot products
  avx512_amx,   ///< and AMX: products of tiles of bfloat16 and of bytes
};

/// "avx2", "avx512", "avx512-vnni", "avx512-bf16", "avx512-amx".
std::string_view name_of(Isa isa);
/// The one of that name; nothing: there is none.
std::optional<Isa> isa_named(std::string_view name);

/// The most that this processor and its operating system support.
/// @throws Error invalid_request on a processor without AVX2
Isa processor_isa();
/// The same, but no more than limit_process_isa allows.
/// @throws Error invalid_request on a processor without AVX2
Isa best_isa();

/// Keeps this backend and oneDNN from using more than `most`. A property of the process that oneDNN
/// reads once: call it at the start of a program, before the first make_cpu_ops; CpuOptions::most
/// only limits the kernels of this backend itself.
/// Again with the same limit it does nothing.
/// @throws Error invalid_request if oneDNN has already chosen, or was limited otherwise
void limit_process_isa(Isa most);

/// What limit_process_isa was called with, if it was.
std::optional<Isa> process_isa_limit();

/// What becomes of linear layers that are stored as 8-bit integers with a scale an output.
enum class StoredIntegers {
  converted,  ///< they are computed as all others
  /// They are computed in int8 where their declaration allows it: what their file was made for.
  kept,
};

struct CpuOptions {
  ComputeType compute = ComputeType::f32;
  std::optional<Isa> most;  ///< use no more than this; none: what the processor has
  StoredIntegers integers = StoredIntegers::converted;
};

/// The CPU backend: oneDNN for matmuls and convolutions, kernels of its own for the rest, run by
/// as many threads as `thread_count()` says at each call.
///
/// Role::operand tensors are bf16 when computing in bf16 (or in int8 beside bf16), all others f32.
/// Weights are packed once into the layout that the matmul reads; of the mapped file only embedding
/// tables stay in use.
/// @throws Error invalid_request if bf16 is asked for where oneDNN cannot compute in it
std::unique_ptr<Ops> make_cpu_ops(const CpuOptions& options);

}  // namespace flux2
