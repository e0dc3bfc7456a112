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
#include "flux2/image.h"
#include "flux2/model.h"

namespace flux2 {

/// What the matmuls compute in. Accumulation and the residual stream are f32 in any case.
enum class Compute {
  automatic,  ///< bf16 where the processor has it, else f32
  f32,        ///< the reference's numbers to 1e-4
  bf16,       ///< twice as fast, half the memory
};

enum class Device { automatic, cpu, cuda };

/// Whose random numbers the initial latents are.
enum class Noise {
  torch_cpu,   ///< torch.Generator("cpu")
  torch_cuda,  ///< torch.Generator("cuda"): depends on the card, see `cuda_card`
};

/// The type the noise is drawn in, as torch rounds it.
enum class NoiseDType { f32, bf16 };

/// One call of a pipeline. Names and meanings are those of Diffusers' `Flux2Pipeline.__call__`;
/// what is left unset follows from the model (ModelDefaults).
struct Request {
  /// One or more prompts: a batch. Empty where `prompt_embeds` is given.
  std::vector<std::string> prompt;
  /// Reference pictures, in order; all of them condition every sample.
  std::vector<Image> image;
  std::optional<int> height;  ///< pixels; floored to a multiple of 16. Default: first reference
  std::optional<int> width;   ///< pixels
  std::optional<int> num_inference_steps;
  /// Custom schedule before the resolution shift, each in (0, 1]; its length is the step count.
  std::vector<double> sigmas;
  std::optional<double> guidance_scale;
  int num_images_per_prompt = 1;
  /// None: drawn at random. One: one generator for the whole batch. Else one a picture.
  std::vector<std::uint64_t> seeds;
  Noise noise = Noise::torch_cpu;
  NoiseDType noise_dtype = NoiseDType::f32;
  std::string cuda_card = "h100";  ///< for torch_cuda: a known card, or "SMSxTHREADS" (132x2048)
  /// Initial noise [B, 128, H/16, W/16] in place of seeds; sets the size.
  std::optional<FloatArray> latents;
  /// [prompts, L, text width] in place of `prompt`.
  std::optional<FloatArray> prompt_embeds;
  /// [prompts or 1, L, text width]; only where true guidance is used.
  std::optional<FloatArray> negative_prompt_embeds;
  std::optional<int> max_sequence_length;  ///< text tokens, padding included
  /// Layers of the text encoder whose outputs are stacked, counted from 1; empty: the family's.
  std::vector<int> text_encoder_out_layers;
};

enum class Stage {
  load_text,
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
  Stage stage = Stage::encode_text;
  std::int64_t done = 0;   ///< steps, pictures or bytes of this stage
  std::int64_t total = 0;  ///< 0 if unknown
  double seconds = 0;      ///< since the stage began
};

/// What a step left behind; changes made here are what the next step starts from.
struct StepState {
  int step = 0;         ///< 0 is the first
  double timestep = 0;  ///< sigma * 1000 before the step
  FloatArray latents;   ///< [B, tokens, 128], packed and normalised
  FloatArray prompt_embeds;
};

/// How a call runs; has no influence on the picture unless the callback changes something.
struct RunOptions {
  /// Ends the call with Error cancelled within a step.
  std::stop_token stop;
  /// Called often, from the thread that called generate.
  std::function<void(const Progress&)> progress;
  /// Called after each step. Copies are made only if it is set.
  std::function<void(StepState&)> callback_on_step_end;
  /// Skips decoding: no pictures, only latents.
  bool latents_only = false;
};

struct StageTime {
  Stage stage = Stage::denoise;
  double seconds = 0;
};

/// What a call made.
struct Result {
  std::vector<Image> images;  ///< prompt by prompt: all pictures of the first one first
  FloatArray latents;         ///< [B, tokens, 128] after the last step, packed and normalised
  FloatArray prompt_embeds;   ///< [prompts, L, text width]
  /// The request with every default filled in and the seeds that were drawn.
  Request request;
  std::vector<StageTime> times;  ///< in the order they ran
  std::vector<double> step_seconds;
  std::int64_t peak_memory_bytes = 0;  ///< of the process, so far
  std::vector<std::string> warnings;   ///< what was asked for and had no effect
};

/// How a model is loaded.
struct PipelineOptions {
  Compute compute = Compute::automatic;
  Device device = Device::automatic;
  int threads = 0;  ///< 0: the cores that this process may use
  /// Keep every part in memory between calls. Otherwise the text encoder is released before the
  /// transformer is loaded where both would not fit.
  enum class Residency { automatic, keep, release } residency = Residency::automatic;
};

/// A FLUX.2 model, ready to draw. Safe to call from several threads: calls queue.
class Pipeline {
 public:
  /// Reads the configs and checks every header; weights are read by the first call that needs them.
  /// @param model  a folder in Diffusers layout, or "nano"
  /// @throws Error bad_file, invalid_request (a compute type or device that this machine lacks)
  static Pipeline load(const std::string& model, const PipelineOptions& options = {});

  Pipeline(Pipeline&&) noexcept;
  Pipeline& operator=(Pipeline&&) noexcept;
  ~Pipeline();

  const ModelInfo& info() const;
  /// What `automatic` became.
  Compute compute() const;
  int threads() const;
  /// "cpu bf16 avx512_bf16, 2 threads"
  std::string backend() const;

  /// Text to image, or editing where `request.image` has references.
  /// @throws Error invalid_request, bad_file, out_of_memory, cancelled
  Result generate(const Request& request, const RunOptions& options = {}) const;

 private:
  class Impl;
  explicit Pipeline(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// The text that a picture carries: "parameters" in the style other tools read, and "flux2", a
/// JSON that rebuilds the request.
/// @param index  which of result.images
ImageText describe(const Result& result, const ModelInfo& model, std::size_t index);

/// What `describe` wrote into a picture.
struct RecordedRequest {
  std::string model;  ///< name of the model
  Request request;    ///< references are read again from their files
};

/// Rebuilds the request from a picture's text.
/// @param name  of the picture, for errors
/// @throws Error bad_file: no "flux2" text, damaged, or a reference file is gone or has changed
RecordedRequest recorded_request(const ImageText& text, const std::string& name);

}  // namespace flux2
