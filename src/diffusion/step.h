#pragma once

#include <span>

namespace flux2 {

/// Whose rounding the arithmetic between two forward passes follows.
enum class Arithmetic {
  f32,   ///< float throughout
  bf16,  ///< Diffusers in bfloat16: every result rounded to it, where PyTorch rounds
};

/// The noise levels before and after a step.
struct SigmaStep {
  float from = 0.0f;
  float to = 0.0f;
};

/// One Euler step along the velocity: x += (to - from) v, in place.
/// @param x  latents of any shape
/// @param v  velocity, as many elements
void euler_step(std::span<float> x, std::span<const float> v, SigmaStep sigma,
                Arithmetic arithmetic);

/// Classifier-free guidance, in place: v = n + guidance (v - n).
/// @param v  velocity for the prompt; becomes the guided one
/// @param n  velocity for the negative prompt, as many elements
void guide(std::span<float> v, std::span<const float> n, float guidance, Arithmetic arithmetic);

/// A picture with noise of level sigma: out = sigma noise + (1 - sigma) x.
/// @param out  as many elements as x and noise; may be either of them
void scale_noise(std::span<const float> x, std::span<const float> noise, float sigma,
                 Arithmetic arithmetic, std::span<float> out);

/// Inpainting, in place: x = (1 - mask) kept + mask x.
/// @param x     latents [B * L, D], what was painted
/// @param kept  [B * L, D], what the picture was
/// @param mask  [B * L], 1 where it is painted, 0 where it is kept; applies to all D of a token
void blend(std::span<float> x, std::span<const float> kept, std::span<const float> mask,
           Arithmetic arithmetic);

/// The timestep that a pipeline hands to the transformer: about timestep / 1000.
float pipeline_timestep(float timestep, Arithmetic arithmetic);
/// The number that the transformer embeds for it: about the timestep again. In bfloat16 the
/// way there rounds three times: 900 becomes 898.4375 / 1000, then 900.
float embedded_timestep(float timestep, Arithmetic arithmetic);
/// The number that the transformer embeds for a guidance scale: about guidance * 1000.
float embedded_guidance(float guidance, Arithmetic arithmetic);

}  // namespace flux2
