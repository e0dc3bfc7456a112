#pragma once

#include <cstdint>
#include <vector>

#include "ops/ops.h"

namespace flux2 {

/// theta^(-2i/d), i = 0 .. d/2 - 1, rounded to float32 where transformers rounds.
std::vector<float> rope_frequencies(std::int64_t head_dim, double theta);

/// Cosines and sines of float32 `angles` [tokens, d/2], row-major.
RopeTable make_rope_table(Ops& ops, const std::vector<float>& angles, std::int64_t tokens);

/// The table of positions 0 .. tokens - 1: angle[p, i] = p theta^(-2i/d).
RopeTable make_text_rope(Ops& ops, std::int64_t tokens, std::int64_t head_dim, double theta);

}  // namespace flux2
