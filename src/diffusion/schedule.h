#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace flux2 {

/// How the scheduler bends a schedule towards more noise; s is the sigma before.
enum class TimeShift {
  exponential,  ///< e^mu / (e^mu + 1/s - 1); every published FLUX.2 model
  linear,       ///< mu / (mu + 1/s - 1)
  fixed,        ///< shift s / (1 + (shift - 1) s), whatever mu; use_dynamic_shifting false
};

/// scheduler_config.json of FlowMatchEulerDiscreteScheduler, as far as sampling depends on it.
struct SchedulerConfig {
  int num_train_timesteps = 1000;
  double shift = 1.0;  ///< of TimeShift::fixed
  TimeShift time_shift = TimeShift::exponential;
};

/// The noise levels of one picture.
struct Schedule {
  double mu = 0.0;
  std::vector<float> sigmas = {};     ///< one a step and the final 0
  std::vector<float> timesteps = {};  ///< one a step: sigma * num_train_timesteps

  int steps() const { return static_cast<int>(timesteps.size()); }
};

/// What a schedule is made for.
struct ScheduleRequest {
  int steps = 50;           ///< 1 to kMaxSteps
  std::int64_t tokens = 0;  ///< latent tokens of one picture, references not counted
  /// Sigmas before the shift, one a step, in any order; empty: 1, ..., 1/steps evenly. `steps`
  /// then only matters for mu.
  std::span<const double> custom_sigmas = {};
};

inline constexpr int kMaxSteps = 100'000;

/// compute_empirical_mu of Diffusers: how far the schedule of so many tokens and steps is shifted.
/// Linear in the steps, with a jump down above 4300 tokens, where steps no longer matter.
double empirical_mu(std::int64_t tokens, int steps);

/// The schedule that Diffusers makes, in its float32 arithmetic, bit for bit.
/// @throws Error invalid_request: no steps or more than kMaxSteps; no tokens; a sigma that is
///         negative or not a number. bad_file: a configuration that gives no finite schedule
Schedule make_schedule(const SchedulerConfig& config, const ScheduleRequest& request);

/// Inpainting: the step that it starts with, so that about strength * steps of them remain.
/// @param strength  0 to 1
/// @throws Error invalid_request: strength out of range, or so low that no step remains
int first_step(int steps, double strength);

}  // namespace flux2
