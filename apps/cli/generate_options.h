#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "adapter_options.h"
#include "flux2/pipeline.h"
#include "inpaint_options.h"
#include "log.h"
#include "model_options.h"
#include "progress.h"

namespace flux2::cli {

/// What `flux2 generate` was told, as it was told: no file has been read.
struct GenerateOptions {
  // What to draw. Unset values follow from `from`, else from the model.
  std::vector<std::string> prompts;
  std::vector<std::string> prompt_files;  ///< each holds one prompt; "-" is standard input
  std::vector<std::string> images;
  std::vector<std::string> images_per_sample;  ///< one a picture, or one a prompt
  std::vector<std::string> image_latents;
  std::optional<std::string> attention_mask;
  InpaintOptions inpaint;
  AdapterOptions adapters;
  std::vector<std::string> negative_prompts;
  std::optional<double> caption_upsample_temperature;
  std::optional<std::string> from;  ///< a picture whose recorded request is the starting point
  std::optional<int> width;
  std::optional<int> height;
  std::optional<int> steps;
  std::optional<double> guidance;
  std::vector<double> sigmas;
  std::vector<std::uint64_t> seeds;
  std::optional<int> num_images;
  std::optional<Noise> noise;
  std::optional<NoiseDType> noise_dtype;
  std::optional<std::string> cuda_card;
  std::optional<int> max_sequence_length;
  std::vector<int> text_encoder_out_layers;
  std::optional<std::string> latents;
  std::optional<std::string> prompt_embeds;
  std::optional<std::string> negative_prompt_embeds;

  // Where it goes.
  std::string output = "flux2.png";
  Output output_type = Output::images;
  std::optional<std::string> preview;
  std::optional<std::string> save_latents;
  std::optional<std::string> save_prompt_embeds;
  bool no_metadata = false;
  bool json = false;
  bool plan = false;  ///< only say what it would take

  // How it is done.
  enum class PromptNeeded { yes, no };
  PromptNeeded prompt_needed = PromptNeeded::yes;
  std::optional<std::string> model;
  ModelOptions parts;
  PipelineOptions pipeline;
  bool no_prompt_cache = false;
  std::optional<int> prompt_cache_mb;
  VaeTiling vae_tiling = VaeTiling::automatic;
  ProgressStyle progress = ProgressStyle::automatic;
  Verbosity verbosity = Verbosity::normal;
};

/// Adds what `generate` and `plan` share: everything but the model and --plan.
void add_generate_options(CLI::App& app, GenerateOptions& options);

/// Adds the subcommand `generate`, which parses into `options`.
CLI::App* add_generate(CLI::App& program, GenerateOptions& options);

/// The option that sets what the library calls `argument` ("num_inference_steps" is "--steps");
/// `argument` itself where there is none.
std::string option_of_argument(const std::string& argument);

}  // namespace flux2::cli
