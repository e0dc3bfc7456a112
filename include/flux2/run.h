#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "flux2/adapter.h"
#include "flux2/array.h"
#include "flux2/export.h"
#include "flux2/image.h"
#include "flux2/request.h"

namespace FLUX2_API flux2 {

/// The stages of a call, in the order they run.
enum class Stage {
  load_text,
  upsample,  ///< counts tokens, of all prompts
  encode_text,
  load_transformer,
  load_vae,
  encode_images,
  denoise,
  decode
};

/// "text", "load transformer", ...: for people.
std::string to_string(Stage stage);

/// How far a call is.
struct Progress {
  Stage stage = Stage::encode_text;  ///< the one that runs
  std::int64_t done = 0;             ///< steps, pictures or bytes of this stage
  std::int64_t total = 0;            ///< 0 if unknown
  double seconds = 0;                ///< since the stage began
};

/// What a step left behind; changes made here are what the next step starts from.
struct StepState {
  int step = 0;              ///< 0 is the first
  double timestep = 0;       ///< sigma * 1000 before the step
  FloatArray latents;        ///< [B, tokens, 128], packed and normalised
  FloatArray prompt_embeds;  ///< [prompts, L, text width]
  /// Set it to leave the remaining steps out and decode what there is, as Diffusers' `_interrupt`.
  bool interrupt = false;
};

/// The current estimate of the clean pictures: x0 = x - sigma v, decoded small, so that it costs
/// less than 3 % of the operations of a step.
struct Preview {
  int step = 0;               ///< the one that is over; 0 is the first
  std::vector<Image> images;  ///< rgb, one a picture of the call, of its shape
};

/// How far a call goes.
enum class Output {
  prompt_embeds,  ///< the text is encoded; no transformer is loaded
  latents,        ///< the steps are run; no picture is decoded
  pixels,         ///< pictures as floats: Result::pixels, Diffusers' "np"
  images,         ///< pictures: Result::images, Diffusers' "pil"
};

/// Whether the VAE works on overlapping tiles, as Diffusers' `vae.enable_tiling()`.
enum class VaeTiling {
  automatic,  ///< decoding does where the whole picture would not fit into memory
  on,         ///< pictures over the VAE's sample_size (1024), when encoding as well
  off,        ///< never; what does not fit is an error
};

/// How a call runs; has no influence on the picture unless the callback changes something (tiles
/// show within rounding). Every member may be left out of a designated initialiser.
struct RunOptions {
  /// Ends the call with Error cancelled within a step.
  std::stop_token stop = {};
  /// Called often, from the thread that called generate.
  std::function<void(const Progress&)> progress = {};
  /// Called after each step. Copies are made only if it is set.
  std::function<void(StepState&)> callback_on_step_end = {};
  /// Called after each step, before `callback_on_step_end`.
  std::function<void(const Preview&)> preview = {};
  Output output = Output::images;               ///< how far the call goes
  VaeTiling vae_tiling = VaeTiling::automatic;  ///< how the VAE works
};

/// What one stage took.
struct StageTime {
  Stage stage = Stage::denoise;  ///< the one that ran
  double seconds = 0;            ///< of wall time
};

/// What a call made.
struct Result {
  std::vector<Image> images;  ///< prompt by prompt: all pictures of the first one first
  FloatArray pixels;          ///< [B, H, W, 3] in [0, 1], in place of `images` if asked for
  /// [B, tokens, 128] after the last step, packed and normalised; Pipeline::unpack_latents.
  FloatArray latents;
  FloatArray prompt_embeds;  ///< [prompts, L, text width]
  /// What the prompts became; empty without `caption_upsample_temperature`.
  std::vector<std::string> rewritten_prompts;
  /// The request with every default filled in, the seeds that were drawn, and the digests of the
  /// adapters' files.
  Request request;
  std::vector<AdapterReport> adapters;  ///< what those of the request turned out to be, in order
  /// How many texts of the call (prompts, and what they are led away from) came out of the prompt
  /// cache.
  int cached_prompts = 0;
  std::vector<StageTime> times;        ///< in the order they ran
  std::vector<double> step_seconds;    ///< of wall time, one a denoising step that ran
  std::int64_t peak_memory_bytes = 0;  ///< of the process, so far
  std::vector<std::string> warnings;   ///< what was asked for and had no effect
};

}  // namespace flux2
