#include <algorithm>

#include "diffusion/latents.h"
#include "diffusion/noise.h"
#include "diffusion/positions.h"
#include "diffusion/schedule.h"
#include "diffusion/step.h"
#include "golden.h"
#include "mutation.h"

namespace flux2::mutations {
namespace {

using namespace golden;  // NOLINT(google-build-using-namespace): the goldens' vocabulary

std::span<float> values_of(const Tensor& tensor) {
  return {tensor.f32(), static_cast<std::size_t>(tensor.elements())};
}

double sigmas_error(const std::string& golden, int steps, std::int64_t tokens) {
  const GoldenFile file("e2e/" + golden + "/tensors.safetensors");
  const Schedule schedule =
      make_schedule({}, {.steps = steps, .tokens = tokens, .custom_sigmas = {}});
  const auto count = static_cast<std::int64_t>(schedule.sigmas.size());
  return relative_error(make_host_tensor({count}, schedule.sigmas), file.tensor("sigmas"));
}

// v = pos + g (pos - neg) instead of neg + g (pos - neg).
double guidance_error() {
  const GoldenFile file("scheduler/euler.safetensors");
  const Tensor v = file.tensor("float32.cond");
  const Tensor n = file.tensor("float32.uncond");
  guide(values_of(v), values_of(n), 4.0f + 1.0f, Arithmetic::f32);
  return relative_error(v, file.tensor("float32.guided_4"));
}

double euler_error() {
  const GoldenFile file("scheduler/euler.safetensors");
  const Tensor x = file.tensor("float32.sample");
  const std::vector<float> sigmas = to_vector(file.tensor("float32.sigmas"));
  euler_step(values_of(x), values_of(file.tensor("float32.velocity")),
             {.from = sigmas[1], .to = sigmas[0]}, Arithmetic::f32);
  return relative_error(x, file.tensor("float32.step0"));
}

double noise_error() {
  const GoldenFile file("e2e/klein-t2i/tensors.safetensors");
  const std::uint64_t seeds[] = {43};
  const Tensor noise = initial_noise({}, seeds, {1, 128, 4, 4});
  return relative_error(pack(noise), file.tensor("initial_latents"));
}

// Tokens drawn in their own order instead of channel after channel.
double packing_error() {
  const GoldenFile file("e2e/klein-t2i/tensors.safetensors");
  const std::uint64_t seeds[] = {42};
  const Tensor noise = initial_noise({}, seeds, {1, 128, 4, 4});
  return relative_error(noise.view({1, 16, 128}), file.tensor("initial_latents"));
}

}  // namespace

std::vector<Mutation> diffusion_mutations() {
  return {
      {"mu counts the reference tokens", "e2e/dev-two-references sigmas",
       [] { return sigmas_error("dev-two-references", 4, 20 + 54); }},
      {"mu ignores the number of steps", "e2e/dev-two-references sigmas",
       [] {
         const GoldenFile file("e2e/dev-two-references/tensors.safetensors");
         const std::vector<double> even = {1.0, 0.75, 0.5, 0.25};
         const Schedule schedule =
             make_schedule({}, {.steps = 50, .tokens = 20, .custom_sigmas = even});
         return relative_error(make_host_tensor({5}, schedule.sigmas), file.tensor("sigmas"));
       }},
      {"guidance away from the wrong side", "scheduler/euler guided_4", guidance_error},
      {"Euler step backwards", "scheduler/euler step0", euler_error},
      {"another seed", "e2e/klein-t2i initial_latents", noise_error},
      {"noise drawn token by token", "e2e/klein-t2i initial_latents", packing_error},
  };
}

}  // namespace flux2::mutations
