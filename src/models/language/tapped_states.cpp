#include "models/language/tapped_states.h"

#include <algorithm>
#include <string>

namespace flux2 {

PaddedText padded_text(const TokenBatch& batch, std::int64_t index) {
  const auto length = static_cast<std::size_t>(batch.length);
  const std::span<const std::int32_t> ids =
      std::span(batch.ids).subspan(static_cast<std::size_t>(index) * length, length);
  const KeyRange real = batch.real[static_cast<std::size_t>(index)];

  const auto pads = ids.first(static_cast<std::size_t>(std::min(real.begin, batch.length)));
  const bool alike =
      std::all_of(pads.begin(), pads.end(), [&](std::int32_t id) { return id == pads.front(); });
  const std::int64_t skipped = pads.empty() || !alike ? 0 : real.begin - 1;
  return {.ids = ids.subspan(static_cast<std::size_t>(skipped)),
          .real = {real.begin - skipped, real.end - skipped},
          .skipped = skipped};
}

void TappedStates::keep(Ops& ops, std::int64_t k, const Tensor& x) const {
  const std::int64_t width = x.dim(2);
  for (std::size_t i = 0; i < taps_.size(); ++i) {
    if (taps_[i] != k) continue;
    const Tensor columns = out_.slice(2, static_cast<std::int64_t>(i) * width, width);
    ops.copy(x, columns.slice(1, skipped_, x.dim(1)));
  }
  ops.mark("layers." + std::to_string(k), x);
}

// Doubles the filled part until it covers all.
void TappedStates::fill_skipped(Ops& ops) const {
  if (skipped_ == 0) return;
  ops.copy(out_.slice(1, skipped_, 1), out_.slice(1, 0, 1));
  for (std::int64_t filled = 1; filled < skipped_;) {
    const std::int64_t more = std::min(filled, skipped_ - filled);
    ops.copy(out_.slice(1, 0, more), out_.slice(1, filled, more));
    filled += more;
  }
}

}  // namespace flux2
