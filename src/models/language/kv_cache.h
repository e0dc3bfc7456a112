#pragma once

#include <cstdint>
#include <vector>

#include "ops/ops.h"

namespace flux2 {

/// Keys and values [B, L, Hkv, d]: views.
struct KeyValueView {
  Tensor keys;
  Tensor values;
};

/// Rotated keys, and values, of the tokens that one layer has seen, with room for more.
class KeyValues {
 public:
  /// @param shape  [B, capacity, Hkv, d]
  KeyValues(Ops& ops, const Shape& shape)
      : keys_(ops.empty(shape, Role::operand)), values_(ops.empty(shape, Role::operand)) {}

  std::int64_t tokens() const { return tokens_; }
  std::int64_t capacity() const { return keys_.dim(1); }

  /// Adds the k, v [B, L, Hkv, d] of L more tokens, which must fit, and returns all.
  KeyValueView append(Ops& ops, const Tensor& k, const Tensor& v) {
    const std::int64_t added = k.dim(1);
    ops.copy(k, keys_.slice(1, tokens_, added));
    ops.copy(v, values_.slice(1, tokens_, added));
    tokens_ += added;
    return {keys_.slice(1, 0, tokens_), values_.slice(1, 0, tokens_)};
  }

 private:
  Tensor keys_;
  Tensor values_;
  std::int64_t tokens_ = 0;
};

/// What a decoder remembers of one sequence while it is continued.
struct KvCache {
  std::vector<KeyValues> layers;
  RopeTable rope;  ///< of every position up to the capacity

  std::int64_t tokens() const { return layers.front().tokens(); }
  std::int64_t capacity() const { return layers.front().capacity(); }
};

}  // namespace flux2
