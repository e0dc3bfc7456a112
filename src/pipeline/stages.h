#pragma once

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

/// Prompt embeddings: given ones as they are, others by tokenizer and text encoder.
TextEmbeddings encode_text(const StageContext& ctx);

/// Reference pictures as tokens.
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

/// Latents to pictures.
std::vector<Image> decode(const StageContext& ctx, const Tensor& latents);

/// The statistics that latent tokens are normalised with.
LatentStatistics latent_statistics(const Autoencoder& autoencoder);

}  // namespace flux2
