#include "diffusion/schedule.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "flux2/error.h"

namespace flux2 {
namespace {

void check_step_count(std::size_t steps) {
  if (steps >= 1 && steps <= static_cast<std::size_t>(kMaxSteps)) return;
  throw Error(ErrorCode::invalid_request, fmt::format("{} steps cannot be made", steps), "steps",
              fmt::format("choose 1 to {}", kMaxSteps));
}

// numpy.linspace(1, 1 / steps, steps), operation for operation.
std::vector<double> even_sigmas(int steps) {
  std::vector<double> sigmas(static_cast<std::size_t>(steps), 1.0);
  if (steps == 1) return sigmas;
  const double last = 1.0 / steps;
  const double step = (last - 1.0) / (steps - 1);
  for (int i = 0; i < steps; ++i)
    sigmas[static_cast<std::size_t>(i)] = i * step + 1.0;
  sigmas.back() = last;
  return sigmas;
}

// numpy rounds a Python number to float32 before it meets an array, and each operation after.
float shifted(const SchedulerConfig& config, double mu, float sigma) {
  if (config.time_shift == TimeShift::fixed) {
    const float scale = static_cast<float>(config.shift - 1.0) * sigma;
    return static_cast<float>(config.shift) * sigma / (1.0f + scale);
  }
  const bool exponential = config.time_shift == TimeShift::exponential;
  const auto weight = static_cast<float>(exponential ? std::exp(mu) : mu);
  return weight / (weight + (1.0f / sigma - 1.0f));
}

std::vector<double> requested_sigmas(const ScheduleRequest& request) {
  if (request.custom_sigmas.empty()) return even_sigmas(request.steps);
  check_step_count(request.custom_sigmas.size());
  for (const double sigma : request.custom_sigmas) {
    if (sigma >= 0.0 && sigma <= static_cast<double>(std::numeric_limits<float>::max())) continue;
    throw Error(ErrorCode::invalid_request, fmt::format("{} is not a noise level", sigma), "sigmas",
                "give numbers from 1 (pure noise) down to above 0");
  }
  return {request.custom_sigmas.begin(), request.custom_sigmas.end()};
}

}  // namespace

double empirical_mu(std::int64_t tokens, int steps) {
  constexpr double kSlopeAt10 = 8.73809524e-05;
  constexpr double kOffsetAt10 = 1.89833333;
  constexpr double kSlopeAt200 = 0.00016927;
  constexpr double kOffsetAt200 = 0.45666666;
  constexpr std::int64_t kManyTokens = 4300;

  const auto count = static_cast<double>(tokens);
  const double at_200_steps = kSlopeAt200 * count + kOffsetAt200;
  if (tokens > kManyTokens) return at_200_steps;
  const double at_10_steps = kSlopeAt10 * count + kOffsetAt10;
  const double slope = (at_200_steps - at_10_steps) / 190.0;
  const double offset = at_200_steps - 200.0 * slope;
  return slope * steps + offset;
}

Schedule make_schedule(const SchedulerConfig& config, const ScheduleRequest& request) {
  check_step_count(static_cast<std::size_t>(std::max(request.steps, 0)));
  if (request.tokens < 1) {
    throw Error(ErrorCode::invalid_request,
                fmt::format("a picture of {} tokens has no schedule", request.tokens), "size");
  }
  Schedule schedule{.mu = empirical_mu(request.tokens, request.steps)};
  for (const double sigma : requested_sigmas(request)) {
    const float level = shifted(config, schedule.mu, static_cast<float>(sigma));
    const float timestep = level * static_cast<float>(config.num_train_timesteps);
    if (!std::isfinite(timestep) || config.num_train_timesteps < 1) {
      throw Error(ErrorCode::bad_file,
                  fmt::format("shift {} and {} training steps turn sigma {} into {}", config.shift,
                              config.num_train_timesteps, sigma, timestep),
                  "scheduler_config.json", "check the file against the published one");
    }
    schedule.sigmas.push_back(level);
    schedule.timesteps.push_back(timestep);
  }
  schedule.sigmas.push_back(0.0f);
  return schedule;
}

int first_step(int steps, double strength) {
  if (!(strength >= 0.0 && strength <= 1.0)) {
    throw Error(ErrorCode::invalid_request, fmt::format("{} is out of range", strength), "strength",
                "choose a number from 0 to 1");
  }
  const double remaining = std::min(steps * strength, static_cast<double>(steps));
  const int first = static_cast<int>(std::max(steps - remaining, 0.0));
  if (first < steps) return first;
  throw Error(ErrorCode::invalid_request,
              fmt::format("strength {} leaves none of {} steps to do", strength, steps), "strength",
              "raise it, or the number of steps");
}

}  // namespace flux2
