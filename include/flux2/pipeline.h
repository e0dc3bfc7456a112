#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "flux2/adapter.h"
#include "flux2/array.h"
#include "flux2/error.h"
#include "flux2/export.h"
#include "flux2/image.h"
#include "flux2/model.h"
#include "flux2/plan.h"
#include "flux2/prompt_cache.h"
#include "flux2/request.h"
#include "flux2/run.h"

namespace FLUX2_API flux2 {

/// What the matmuls compute in. Accumulation and the residual stream are f32 in any case.
enum class Compute {
  /// bf16 where the processor has it, else f32; layers of the blocks that are stored as 8-bit
  /// integers with a scale an output in int8. All of them where PipelineOptions::memory_limit is
  /// set and a picture of the model's usual size would need streaming otherwise.
  automatic,
  f32,   ///< the reference's numbers to 1e-4
  bf16,  ///< twice as fast, half the memory
  /// The linear layers of the blocks in 8-bit integers, the rest in bf16 where the processor has
  /// it, else in f32: a quarter of the memory, not quite the same picture.
  int8,
};

/// Where a model computes.
enum class Device { automatic, cpu, cuda };

/// The most of the processor's instructions that may be used; less than it has is for comparing.
enum class InstructionSet {
  automatic,    ///< all that it has
  avx2,         ///< AVX2, FMA and F16C
  avx512,       ///< AVX-512 F, BW, DQ and VL
  avx512_vnni,  ///< and its 8-bit dot products
  avx512_bf16,  ///< and its bfloat16 dot products
  avx512_amx,   ///< and AMX: products of tiles of bfloat16 and of bytes
};

/// Whether each thread that computes stays on a core of its own during a call.
enum class Pinning {
  /// Where there are as many threads as cores, none of which has other work when the call begins,
  /// and OpenMP was not told (OMP_PROC_BIND, OMP_PLACES, GOMP_CPU_AFFINITY).
  automatic,
  on,   ///< always; where there are more threads than cores, several share one
  off,  ///< never
};

/// How a model is loaded. Every member may be left out of a designated initialiser.
struct PipelineOptions {
  Compute compute = Compute::automatic;  ///< element type of the matmuls
  Device device = Device::automatic;     ///< automatic: the CPU where there is no other
  int threads = 0;                       ///< 0: the cores that this process may use
  /// Holds for the process: the first pipeline that is loaded fixes it.
  InstructionSet isa = InstructionSet::automatic;
  /// Keep every part in memory between calls. Otherwise the text encoder is released before the
  /// transformer is loaded where both would not fit.
  enum class Residency { automatic, keep, release };
  Residency residency = Residency::automatic;  ///< automatic: keep what fits
  Pinning pinning = Pinning::automatic;        ///< whether threads stay on their cores
  /// Where prompt embeddings are kept; none: they are not.
  std::optional<PromptCacheOptions> prompt_cache = {};
  /// The most memory that this process may have while it computes, in bytes (anonymous memory; the
  /// pages of mapped files, which the system can take back, are no part of it). Calls keep within
  /// it by releasing parts, streaming weights from the file and working in tiles, or are refused.
  /// 0: what is free, and what the control groups allow.
  std::int64_t memory_limit = 0;
};

/// A diagonal normal distribution over latents, as the VAE encodes a picture.
struct LatentDistribution {
  FloatArray mean;          ///< [B, 32, H/8, W/8]; also the mode
  FloatArray log_variance;  ///< of the same shape, clamped to [-30, 20]
};

/// What the transformer is given: the arguments of Diffusers' `Flux2Transformer2DModel.forward`.
struct VelocityInputs {
  /// [B, S, 128] packed and normalised tokens: the picture, then references.
  FloatArray hidden_states;
  FloatArray encoder_hidden_states;  ///< [B, L, text width]
  std::vector<float> timestep;       ///< sigma, 0 to 1: B values, or one for all
  /// Where each token is, S of them: (10 a picture, row, column, 0); 0 is the one that is drawn.
  std::vector<std::array<std::int64_t, 4>> img_ids;
  /// The same of the text, L of them; empty: (0, 0, 0, place).
  std::vector<std::array<std::int64_t, 4>> txt_ids;
  /// The guidance scale: B values, or one for all; empty: none. Only [dev] has that input.
  std::vector<float> guidance;
  std::optional<FloatArray> attention_mask;  ///< as Request::attention_mask
  std::vector<Adapter> adapters;             ///< as Request::adapters
  double adapter_scale = 1;                  ///< as Request::adapter_scale
};

/// A FLUX.2 model, ready to draw. Safe to call from several threads: calls queue.
class Pipeline {
 public:
  /// Reads the configs and checks every header; weights are read by the first call that needs them.
  /// @param model    as ModelSource::model
  /// @param options  what it computes in and on
  /// @throws Error bad_file, invalid_request (a compute type, device or instruction set that this
  ///         machine lacks; another instruction set than that of an earlier pipeline)
  static Pipeline load(const std::string& model, const PipelineOptions& options = {});

  /// The same for a model whose parts may lie in different places.
  /// @param source   where they are
  /// @param options  what it computes in and on
  /// @throws Error bad_file (see inspect_model), invalid_request
  static Pipeline load(const ModelSource& source, const PipelineOptions& options = {});

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

  /// What generate would do, without doing it: no weight is read.
  /// @param request  as for generate
  /// @param options  as for generate
  /// @throws Error invalid_request, bad_file; out_of_memory: no way of doing it fits
  Plan plan(const Request& request, const RunOptions& options = {}) const;

  /// Reads an adapter and holds it against the model, without applying it.
  /// @throws Error bad_file: what generate would refuse about it
  AdapterReport inspect_adapter(const Adapter& adapter) const;

  // --- The parts, for those who compose them. Of `options` they take stop, progress and tiling.
  // ---

  /// The VAE's encoder: `vae.encode(pixels).latent_dist`.
  /// @param pixels  [B, 3, H, W] in [-1, 1] (model_pixels); sides are multiples of 16
  /// @param options  stop, progress, tiling
  /// @throws Error invalid_request: another shape, NaN; else as generate
  LatentDistribution encode_image(const FloatArray& pixels, const RunOptions& options = {}) const;

  /// The VAE's decoder: `vae.decode(latents)`.
  /// @param latents  [B, 32, h, w], not normalised: from encode_image or unpack_latents
  /// @param options  stop, progress, tiling
  /// @return [B, 3, 8 h, 8 w], about [-1, 1], not clamped; images_from_pixels makes pictures
  /// @throws Error as encode_image
  FloatArray decode_latents(const FloatArray& latents, const RunOptions& options = {}) const;

  /// Latents of the VAE to the tokens that the steps work on: patched, normalised, packed.
  /// @param latents  [B, 32, h, w], h and w even
  /// @return [B, h/2 w/2, 128]
  FloatArray pack_latents(const FloatArray& latents) const;

  /// The way back, and what Diffusers' klein pipelines return for `output_type="latent"` ([dev]'s
  /// returns Result::latents as it is).
  /// @param tokens  [B, height/16 width/16, 128], packed and normalised
  /// @param height  pixels, as Result::request has it
  /// @param width   pixels
  /// @return [B, 32, height/8, width/8]
  FloatArray unpack_latents(const FloatArray& tokens, int height, int width) const;

  /// The transformer: v = noise - picture, as `Flux2Transformer2DModel.forward` returns it for all
  /// of `hidden_states`. The scheduler's step is x += (sigma' - sigma) v.
  /// @return [B, S, 128]
  /// @throws Error invalid_request: shapes that do not belong together; else as generate
  FloatArray predict_velocity(const VelocityInputs& inputs, const RunOptions& options = {}) const;

 private:
  class FLUX2_PRIVATE Impl;
  explicit Pipeline(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// A picture as encode_image takes it: [1, 3, H, W] in [-1, 1], alpha dropped. Nothing is resized.
/// @throws Error invalid_request: an inconsistent picture
FloatArray model_pixels(const Image& image);

/// The pictures of [B, 3, H, W] in [-1, 1], which is what decode_latents returns: clamped, rounded
/// to 8 bits, rgb.
/// @throws Error invalid_request: another shape, NaN
std::vector<Image> images_from_pixels(const FloatArray& pixels);

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
/// @throws Error bad_file: no "flux2" text, damaged, or a reference file is gone or has changed;
///               or the request had something in memory that no file holds
RecordedRequest recorded_request(const ImageText& text, const std::string& name);

}  // namespace flux2
