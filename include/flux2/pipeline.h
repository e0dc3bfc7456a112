#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "flux2/array.h"
#include "flux2/error.h"
#include "flux2/export.h"
#include "flux2/image.h"
#include "flux2/model.h"

namespace FLUX2_API flux2 {

/// What the matmuls compute in. Accumulation and the residual stream are f32 in any case.
enum class Compute {
  automatic,  ///< bf16 where the processor has it, else f32
  f32,        ///< the reference's numbers to 1e-4
  bf16,       ///< twice as fast, half the memory
};

/// Where a model computes.
enum class Device { automatic, cpu, cuda };

/// Whose random numbers the initial latents are.
enum class Noise {
  torch_cpu,   ///< torch.Generator("cpu")
  torch_cuda,  ///< torch.Generator("cuda"): depends on the card, see `cuda_card`
};

/// The type the noise is drawn in, as torch rounds it.
enum class NoiseDType { f32, bf16 };

/// Pixels on each side of a picture.
struct Margins {
  int left = 0;    ///< 0 or more
  int top = 0;     ///< 0 or more
  int right = 0;   ///< 0 or more
  int bottom = 0;  ///< 0 or more
};

/// A picture to paint over. Names and meanings are those of Diffusers'
/// `Flux2KleinInpaintPipeline.__call__`; here every family can do it.
///
/// The picture is also the first reference. What is painted has its size, shrunk to at most
/// 1024 x 1024 pixels' area and floored to multiples of 16; width and height of the request have
/// no say.
struct Inpaint {
  Image image;  ///< of any size and format
  /// In place of `image`: [1, 128, H/16, W/16], patches of the VAE's latents, not normalised.
  std::optional<FloatArray> image_latents;
  /// White is painted, black is kept; of any size. None: the whole picture is painted (image to
  /// image).
  std::optional<Image> mask_image;
  /// 0 to 1: how much of the schedule runs, and so how much may change. Default 0.8; 1 with
  /// `outpaint`.
  std::optional<double> strength;
  /// Paints only the part around the mask, with so many pixels more on each side, at full size.
  std::optional<int> padding_mask_crop;
  /// The result is the picture as it was given, in its own size: byte for byte where the mask is
  /// black, painted where it is white, with a seam that fades inside the white. Otherwise it is
  /// what Diffusers returns: the VAE's rendering of the whole picture.
  bool keep_unmasked = false;
  /// Grows the picture by so many pixels and paints what is new, beside `mask_image` if given.
  std::optional<Margins> outpaint;
};

/// One call of a pipeline. Names and meanings are those of Diffusers' `Flux2Pipeline.__call__`;
/// what is left unset follows from the model (ModelDefaults).
struct Request {
  /// One or more prompts: a batch. Empty where `prompt_embeds` is given.
  std::vector<std::string> prompt;
  /// Reference pictures, in order; all of them condition every sample.
  std::vector<Image> image;
  /// A picture to paint over; `image` then holds further references.
  std::optional<Inpaint> inpaint;
  std::optional<int> height;  ///< pixels; floored to a multiple of 16. Default: first reference
  std::optional<int> width;   ///< pixels
  std::optional<int> num_inference_steps;  ///< 1 or more
  /// Custom schedule before the resolution shift, each in (0, 1]; its length is the step count.
  std::vector<double> sigmas;
  /// [dev]: an input of the model. klein base: true guidance where over 1. Else without effect.
  std::optional<double> guidance_scale;
  int num_images_per_prompt = 1;  ///< 1 or more
  /// None: drawn at random. One: one generator for the whole batch. Else one a picture.
  std::vector<std::uint64_t> seeds;
  Noise noise = Noise::torch_cpu;            ///< whose generator the seeds are for
  NoiseDType noise_dtype = NoiseDType::f32;  ///< type of the reference run to repeat
  std::string cuda_card = "h100";  ///< for torch_cuda: a known card, or "SMSxTHREADS" (132x2048)
  /// Initial noise [B, 128, H/16, W/16] in place of seeds; sets the size.
  std::optional<FloatArray> latents;
  /// [prompts, L, text width] in place of `prompt`.
  std::optional<FloatArray> prompt_embeds;
  /// What true guidance leads away from: one text, or one a prompt. Default: the empty prompt.
  std::vector<std::string> negative_prompt;
  /// [prompts or 1, L, text width] in place of `negative_prompt`.
  std::optional<FloatArray> negative_prompt_embeds;
  std::optional<int> max_sequence_length;  ///< text tokens, padding included
  /// Layers of the text encoder whose outputs are stacked, counted from 1; empty: the family's.
  std::vector<int> text_encoder_out_layers;
  /// Lets the text encoder rewrite the prompts first, sampling at this temperature (0.15 is
  /// recommended; 0 takes the likeliest words). [dev] looks at the pictures as well.
  std::optional<double> caption_upsample_temperature;
};

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
};

/// How a call runs; has no influence on the picture unless the callback changes something. Every
/// member may be left out of a designated initialiser.
struct RunOptions {
  /// Ends the call with Error cancelled within a step.
  std::stop_token stop = {};
  /// Called often, from the thread that called generate.
  std::function<void(const Progress&)> progress = {};
  /// Called after each step. Copies are made only if it is set.
  std::function<void(StepState&)> callback_on_step_end = {};
  /// Skips decoding: no pictures, only latents.
  bool latents_only = false;
};

/// What one stage took.
struct StageTime {
  Stage stage = Stage::denoise;  ///< the one that ran
  double seconds = 0;            ///< of wall time
};

/// What a call made.
struct Result {
  std::vector<Image> images;  ///< prompt by prompt: all pictures of the first one first
  FloatArray latents;         ///< [B, tokens, 128] after the last step, packed and normalised
  FloatArray prompt_embeds;   ///< [prompts, L, text width]
  /// What the prompts became; empty without `caption_upsample_temperature`.
  std::vector<std::string> rewritten_prompts;
  /// The request with every default filled in and the seeds that were drawn.
  Request request;
  std::vector<StageTime> times;        ///< in the order they ran
  std::vector<double> step_seconds;    ///< of wall time, one a denoising step
  std::int64_t peak_memory_bytes = 0;  ///< of the process, so far
  std::vector<std::string> warnings;   ///< what was asked for and had no effect
};

/// How a model is loaded.
struct PipelineOptions {
  Compute compute = Compute::automatic;  ///< element type of the matmuls
  Device device = Device::automatic;     ///< automatic: the CPU where there is no other
  int threads = 0;                       ///< 0: the cores that this process may use
  /// Keep every part in memory between calls. Otherwise the text encoder is released before the
  /// transformer is loaded where both would not fit.
  enum class Residency { automatic, keep, release };
  Residency residency = Residency::automatic;  ///< automatic: keep what fits
};

/// A FLUX.2 model, ready to draw. Safe to call from several threads: calls queue.
class Pipeline {
 public:
  /// Reads the configs and checks every header; weights are read by the first call that needs them.
  /// @param model    a folder in Diffusers layout, or "nano"
  /// @param options  what it computes in and on
  /// @throws Error bad_file, invalid_request (a compute type or device that this machine lacks)
  static Pipeline load(const std::string& model, const PipelineOptions& options = {});

  /// Moves; what is left can only be destroyed or assigned to.
  Pipeline(Pipeline&&) noexcept;
  /// Moves; no call may be running on either.
  Pipeline& operator=(Pipeline&&) noexcept;
  /// Frees the model; no call may be running.
  ~Pipeline();

  /// The model that was loaded.
  const ModelInfo& info() const;
  /// What `automatic` became.
  Compute compute() const;
  /// How many threads compute.
  int threads() const;
  /// "cpu bf16 avx512_bf16, 2 threads"
  std::string backend() const;

  /// Text to image, editing where `request.image` has references, or painting over a picture where
  /// `request.inpaint` has one.
  /// @throws Error invalid_request, bad_file, out_of_memory, cancelled
  Result generate(const Request& request, const RunOptions& options = {}) const;

 private:
  class FLUX2_PRIVATE Impl;
  explicit Pipeline(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// The text that a picture carries: "parameters" in the style other tools read, and "flux2", a
/// JSON that rebuilds the request.
/// @param result  what a call made
/// @param model   that made it
/// @param index   which of result.images
ImageText describe(const Result& result, const ModelInfo& model, std::size_t index);

/// What `describe` wrote into a picture.
struct RecordedRequest {
  std::string model;  ///< name of the model
  Request request;    ///< references are read again from their files
};

/// Rebuilds the request from a picture's text.
/// @param text  what `load_image_text` read
/// @param name  of the picture, for errors
/// @throws Error bad_file: no "flux2" text, damaged, or a reference file is gone or has changed
RecordedRequest recorded_request(const ImageText& text, const std::string& name);

}  // namespace flux2
