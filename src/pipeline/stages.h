#pragma once

#include <string>
#include <vector>

#include "pipeline/call.h"
#include "pipeline/parts_context.h"
#include "pipeline/prompt_cache.h"

namespace flux2 {

/// What every stage of a call works with.
struct StageContext : PartsContext {
  const Call& call;
  const PromptCache* prompt_cache = nullptr;  ///< nullptr: embeddings are not kept
};

/// Text of a call as the transformer takes it, host f32.
struct TextEmbeddings {
  Tensor prompts;   ///< [prompts, L, W]
  Tensor negative;  ///< [1 or prompts, L', W]; undefined without classifier-free guidance
  int cached = 0;   ///< texts that came out of the cache
};

/// Rewrites the prompts of a call with its language model, where that is asked for.
/// @return as many texts as prompts; empty if it is not asked for
/// @throws Error invalid_request: a conversation that is too long, pictures that do not fit into it
std::vector<std::string> upsample_prompts(const StageContext& ctx);

/// Prompt embeddings: given ones as they are, others by tokenizer and text encoder.
/// @param prompts  the texts; not used where embeddings are given
TextEmbeddings encode_text(const StageContext& ctx, const std::vector<std::string>& prompts);

/// Reference pictures as tokens; the picture that is painted over is the first of them.
struct ReferenceTokens {
  /// host [1 or B, R, 128], normalised; undefined without references
  Tensor tokens;
  std::vector<TokenGrid> grids;  ///< of each picture
};

ReferenceTokens encode_references(const StageContext& ctx);

/// Runs every step.
struct DenoiseInputs {
  TextEmbeddings text;
  ReferenceTokens references;
};

struct Denoised {
  Tensor latents;  ///< host [B, tokens, 128], packed and normalised
  std::vector<double> step_seconds;
};

/// @throws Error internal: the model gave NaN or infinity
Denoised denoise(const StageContext& ctx, DenoiseInputs inputs);

/// Pictures as the caller asked for them; the other member is empty.
struct Decoded {
  std::vector<Image> images;  ///< put back into what was painted over
  FloatArray pixels;          ///< [B, H, W, 3] in [0, 1]
};

/// Latents [B, tokens, 128] to pictures.
Decoded decode(const StageContext& ctx, const Tensor& latents);

}  // namespace flux2
