#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/language/generation.h"
#include "pipeline/stages.h"

namespace flux2 {

/// What a language model is asked to continue.
struct UpsamplingPrompt {
  std::vector<std::int32_t> ids;  ///< the conversation, without padding
  std::vector<Tensor> pictures;   ///< host [1, H, W, 3], as LanguageModel::embed_prompt takes them
};

/// The conversation that rewrites `prompt`. [dev] is shown the picture that is painted over and
/// the references, joined into one as Diffusers joins them; klein reads the text alone.
/// @throws Error invalid_request: more than kUpsamplingLength tokens
UpsamplingPrompt upsampling_prompt(const StageContext& ctx, const std::string& prompt);

/// Diffusers' max_new_tokens.
inline constexpr std::int64_t kMostUpsampledTokens = 512;

/// Rewrites one prompt; a token that is drawn goes to `settings.on_token` first. Stop tokens are
/// the family's.
/// @return the text, special tokens left out, neither stripped nor otherwise cleaned
std::string upsample_prompt(const StageContext& ctx, const std::string& prompt,
                            GenerationSettings settings);

}  // namespace flux2
