#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace flux2 {

/// One part of a pipeline: the class that it was saved from.
struct ModelComponent {
  std::string library;     ///< "diffusers", "transformers"
  std::string class_name;  ///< "Flux2Transformer2DModel", ...
};

/// model_index.json of a folder in Diffusers layout.
struct ModelIndex {
  std::string class_name;            ///< of the pipeline: "Flux2KleinPipeline", ...
  std::optional<bool> is_distilled;  ///< absent: the pipeline has no such thing or its default
  /// By subfolder: "transformer", "vae", ... A part that the pipeline was saved without is left
  /// out.
  std::map<std::string, ModelComponent> components;
};

/// @throws Error bad_file: no such folder, no model_index.json in it, or not a pipeline's
ModelIndex read_model_index(const std::filesystem::path& folder);

/// What a folder's own flux2.json asks for where a request says nothing; what it leaves out follows
/// from the kind of pipeline.
struct FolderDefaults {
  std::optional<std::string> name;     ///< of the model, for people
  std::optional<std::int64_t> width;   ///< pixels, a multiple of 16
  std::optional<std::int64_t> height;  ///< pixels, a multiple of 16
  std::optional<std::int64_t> num_inference_steps;
  std::optional<double> guidance_scale;
  std::optional<std::int64_t> max_sequence_length;  ///< text tokens
};

/// Reads {"name": ..., "defaults": {...}}; nothing is set where there is no flux2.json.
/// @throws Error bad_file: an unknown key, a value out of range
FolderDefaults read_folder_defaults(const std::filesystem::path& folder);

/// How a scheduler bends its sigmas; the words of scheduler_config.json.
enum class SigmaShift {
  exponential,  ///< use_dynamic_shifting with time_shift_type "exponential"
  linear,       ///< use_dynamic_shifting with time_shift_type "linear"
  fixed,        ///< by `shift` alone
};

/// scheduler_config.json of FlowMatchEulerDiscreteScheduler.
struct SchedulerSettings {
  int num_train_timesteps = 1000;
  double shift = 1.0;  ///< matters with SigmaShift::fixed
  SigmaShift sigma_shift = SigmaShift::fixed;
};

/// Reads FOLDER/scheduler_config.json; what it leaves out is what the class of Diffusers takes.
/// @throws Error bad_file: missing, another scheduler, or a setting that no FLUX.2 model uses
///         (shift_terminal, Karras, exponential, beta, inverted or stochastic sigmas)
SchedulerSettings read_scheduler_settings(const std::filesystem::path& folder);

}  // namespace flux2
