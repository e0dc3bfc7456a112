#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "models/language/decoder.h"
#include "models/language/sampler.h"
#include "ops/ops.h"

namespace flux2 {

/// How a text is continued.
struct GenerationSettings {
  std::int64_t max_new_tokens = 512;
  Sampling sampling;
  /// Ends the text, and is not part of it.
  std::vector<std::int32_t> stop_tokens;
  /// Called with every new token (stop tokens included) and the scores [vocabulary] that it was
  /// chosen from; may throw to stop.
  std::function<void(std::int32_t token, std::span<const float> scores)> on_token;
};

/// The tokens that follow a prompt. The prompt is read in pieces of at most 512 tokens, so that
/// its activations stay small beside its keys and values.
/// @param decoder  loaded to generate
/// @param prompt   [1, L, D], L >= 1 (LanguageModel::embed_prompt), without padding
/// @throws Error invalid_request: settings out of range, an empty prompt, a decoder that was not
///         loaded to generate
std::vector<std::int32_t> generate(Ops& ops, const Decoder& decoder, const Tensor& prompt,
                                   const GenerationSettings& settings);

}  // namespace flux2
