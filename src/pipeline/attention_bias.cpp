#include "pipeline/attention_bias.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "pipeline/check.h"

namespace flux2 {
namespace {

constexpr const char* kArgument = "attention_mask";
using Dims = std::array<std::int64_t, 4>;  // batch, heads, queries, keys

Dims dims_of(const FloatArray& mask, const AttentionShape& shape) {
  const std::vector<std::int64_t>& s = mask.shape;
  if (s.size() < 2 || s.size() > 4) {
    refuse(kArgument, fmt::format("must have 2 to 4 dimensions, not {}", s.size()));
  }
  // Diffusers' dispatch_attention_fn takes [B, L] for a mask of keys before torch sees it.
  if (s.size() == 2 && s[0] == shape.batch && s[1] == shape.tokens) {
    return {s[0], 1, 1, s[1]};
  }
  Dims dims = {1, 1, 1, 1};
  std::copy(s.begin(), s.end(), dims.end() - static_cast<std::ptrdiff_t>(s.size()));
  return dims;
}

void check_values(const FloatArray& mask) {
  std::size_t elements = 1;
  for (const std::int64_t dim : mask.shape)
    elements *= static_cast<std::size_t>(dim);  // checked against the shape before
  if (elements != mask.values.size()) {
    refuse(kArgument,
           fmt::format("{} values do not fill shape {}", mask.values.size(), shape_text(mask)));
  }
  for (const float value : mask.values) {
    if (std::isnan(value) || value == std::numeric_limits<float>::infinity()) {
      refuse(kArgument, "holds NaN or infinity", "-infinity hides a key");
    }
  }
}

Dims checked(const FloatArray& mask, const AttentionShape& shape) {
  const Dims dims = dims_of(mask, shape);
  const Dims full = {shape.batch, shape.heads, shape.tokens, shape.tokens};
  for (std::size_t axis = 0; axis < dims.size(); ++axis) {
    if (dims[axis] == 1 || dims[axis] == full[axis]) continue;
    refuse(kArgument,
           fmt::format("shape {} does not broadcast to [{}, {}, {}, {}]", shape_text(mask), full[0],
                       full[1], full[2], full[3]),
           "its tokens are those of text, picture and references");
  }
  check_values(mask);
  return dims;
}

}  // namespace

void check_attention_mask(const FloatArray& mask, const AttentionShape& shape) {
  checked(mask, shape);
}

Tensor attention_bias(const FloatArray& mask, const AttentionShape& shape) {
  const auto [batch, heads, queries, keys] = checked(mask, shape);
  const Tensor bias = make_host_tensor({batch, heads, shape.tokens, shape.tokens});
  float* out = bias.f32();
  const float* rows = mask.values.data();
  for (std::int64_t part = 0; part < batch * heads; ++part, rows += queries * keys) {
    for (std::int64_t query = 0; query < shape.tokens; ++query, out += shape.tokens) {
      const float* row = rows + (queries == 1 ? 0 : query * keys);
      if (keys == 1) {
        std::fill_n(out, shape.tokens, *row);
      } else {
        std::copy_n(row, keys, out);
      }
    }
  }
  return bias;
}

}  // namespace flux2
