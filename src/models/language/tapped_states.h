#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/language/decoder.h"
#include "ops/ops.h"

namespace flux2 {

/// The part of one padded text that has to be computed.
///
/// A pad on the left sees no key, so attention adds nothing to it: all left pads of a text have
/// the same state in every layer, whatever the text is. The last of them stands for all.
struct PaddedText {
  std::span<const std::int32_t> ids;  ///< without the tokens that are skipped
  KeyRange real;                      ///< counted in `ids`
  std::int64_t skipped = 0;           ///< tokens at the start that equal the first of `ids`
};

/// Text `index` of `batch`.
PaddedText padded_text(const TokenBatch& batch, std::int64_t index);

/// Gathers hidden states of one text beside each other.
class TappedStates {
 public:
  /// @param out      [1, L, taps * D]
  /// @param skipped  tokens at the start that are not computed
  TappedStates(Tensor out, std::span<const std::int64_t> taps, std::int64_t skipped)
      : out_(std::move(out)), taps_(taps), skipped_(skipped) {}

  /// Copies hidden state `k`, x [1, L - skipped, D], to wherever it was asked for.
  void keep(Ops& ops, std::int64_t k, const Tensor& x) const;
  /// Gives the skipped tokens the states of the first computed one.
  void fill_skipped(Ops& ops) const;

 private:
  Tensor out_;
  std::span<const std::int64_t> taps_;
  std::int64_t skipped_;
};

}  // namespace flux2
