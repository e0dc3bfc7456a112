#pragma once

#include <string>

#include "flux2/bench.h"

namespace flux2::cli {

/// One JSON object, indented: model, backend, compute, threads, width, height, steps, text_tokens,
/// seconds_load, seconds_load_text, seconds_load_transformer, seconds_load_vae, seconds_text,
/// seconds_first_step, seconds_per_step, step_seconds, seconds_decode, peak_memory_bytes,
/// peak_anonymous_bytes, flops {text, step, decode}, ops {text, denoise, decode: [{name, calls,
/// seconds, bytes, flops, ceiling_share}]}; with ceilings also ceilings {matmul_f32_flops,
/// matmul_bf16_flops, matmul_int8_flops, convolution_flops, read_bytes, copy_bytes} and ratios
/// {text, first_step, step, decode}: seconds over those of the FLOP at the ceiling.
std::string bench_json(const BenchReport& report);

/// The same for people: a line for each stage.
std::string bench_table(const BenchReport& report);

/// A line for each operation of each stage: calls, milliseconds, share of the stage, GFLOP/s,
/// GB/s, share of the ceiling.
std::string ops_table(const BenchReport& report);

}  // namespace flux2::cli
