#pragma once

#include <cstdint>

#include "flux2/array.h"
#include "tensor/tensor.h"

namespace flux2 {

/// What an attention mask of the caller is for.
struct AttentionShape {
  std::int64_t batch = 1;
  std::int64_t heads = 1;
  std::int64_t tokens = 1;  ///< text, picture and references
};

/// An attention mask as the operations take it, under torch's rules: dimensions are matched from
/// the last one, 1 is repeated, and [batch, tokens] masks keys.
/// @return host f32 [batch or 1, heads or 1, tokens, tokens]
/// @throws Error invalid_request: a shape that does not fit; NaN or +infinity
Tensor attention_bias(const FloatArray& mask, const AttentionShape& shape);

/// The check alone.
void check_attention_mask(const FloatArray& mask, const AttentionShape& shape);

}  // namespace flux2
