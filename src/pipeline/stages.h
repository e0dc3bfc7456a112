#pragma once

#include <string>
#include <vector>

#include "diffusion/latents.h"
#include "pipeline/call.h"
#include "pipeline/monitor.h"
#include "pipeline/parts.h"

namespace flux2 {

/// What every stage of a call works with.
struct StageContext {
  const ModelFolder& model;
  const Call& call;
  Parts& parts;
  Ops& ops;
  Monitor& monitor;
};

/// Text of a call as the transformer takes it, host f32.
struct TextEmbeddings {
  Tensor prompts;   ///< [prompts, L, W]
  Tensor negative;  ///< [1 or prompts, L', W]; undefined without classifier-free guidance
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
  Tensor tokens;                 ///< host [1, R, 128], normalised; undefined without references
  std::vector<TokenGrid> grids;  ///< of each picture
};

ReferenceTokens encode_references(const StageContext& ctx);

/// Runs every step.
struct DenoiseInputs {
  TextEmbeddings text;
  ReferenceTokens references;
  const RunOptions& options;
};

struct Denoised {
  Tensor latents;  ///< host [B, tokens, 128], packed and normalised
  std::vector<double> step_seconds;
};

/// @throws Error internal: the model gave NaN or infinity
Denoised denoise(const StageContext& ctx, DenoiseInputs inputs);

/// Latents to pictures, put back into what was painted over.
std::vector<Image> decode(const StageContext& ctx, const Tensor& latents);

/// The statistics that latent tokens are normalised with.
LatentStatistics latent_statistics(const Autoencoder& autoencoder);

}  // namespace flux2
