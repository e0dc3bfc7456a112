#pragma once

#include <cstdint>

// The contract between few_rows.cpp and the kernels that are compiled once an instruction set:
// plain structs and function pointers only, for the reason given in kernels.h.
//
// A 32-bit "word" is what one multiply-add consumes a lane: one float, or two bfloat16 neighbours.
namespace flux2 {

/// The most rows that a kernel multiplies at a time: their sums stay in registers.
inline constexpr std::int64_t kFewRows = 4;
/// Outputs of a block are a multiple of this.
inline constexpr std::int64_t kFewRowsLanes = 16;
/// The most outputs in a block.
inline constexpr std::int64_t kFewRowsOutputs = 64;

/// out[row][output] = sum over words of x[row][word] . weights[word][output], for the outputs of
/// one block of packed weights, which lie in memory one after another.
struct FewRowsBlock {
  const std::uint32_t* weights = nullptr;  ///< [words][outputs]
  std::int64_t outputs = 0;
  std::int64_t words = 0;
  const std::uint32_t* x = nullptr;  ///< [rows][words]
  std::int64_t rows = 0;             ///< at most kFewRows
  float* out = nullptr;              ///< [rows], out_stride apart
  std::int64_t out_stride = 0;
};

using MultiplyFewRows = void (*)(const FewRowsBlock& block);

void multiply_few_rows_avx512(const FewRowsBlock& block);
void multiply_few_rows_avx512_bf16(const FewRowsBlock& block);

}  // namespace flux2
