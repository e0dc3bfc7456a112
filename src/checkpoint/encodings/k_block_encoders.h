#pragma once

#include <cstdint>

#include "checkpoint/encodings/gguf_k_blocks.h"

namespace flux2 {

// Super-blocks of 256 numbers, written as llama.cpp's reference does it (quantize_row_*_K_ref):
// every group is fitted by itself, then the groups' scales are rounded to six or eight bits of the
// super-block's own scale, then the numbers are rounded once more to what that left.

struct Q4KEncoder : Q4K {
  static void encode(const float* numbers, std::uint8_t* block);
};

struct Q5KEncoder : Q5K {
  static void encode(const float* numbers, std::uint8_t* block);
};

struct Q6KEncoder : Q6K {
  static void encode(const float* numbers, std::uint8_t* block);
};

}  // namespace flux2
