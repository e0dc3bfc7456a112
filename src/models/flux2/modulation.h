#pragma once

#include <span>

#include "models/flux2/weights.h"
#include "ops/ops.h"

namespace flux2 {

/// What adaptive layer norm does to one sub-block: x + gate * f((1 + scale) * LN(x) + shift).
/// Each [B, D].
struct Modulation {
  Tensor shift;
  Tensor scale;
  Tensor gate;
};

/// A stream of a double-stream block has two sub-blocks.
struct StreamModulation {
  Modulation attention;
  Modulation mlp;
};

/// All modulations of one step: every block of a kind shares them.
struct StepModulations {
  Tensor temb;  ///< [B, D]
  StreamModulation double_txt;
  StreamModulation double_img;
  Modulation single;
  Tensor out_scale;  ///< [B, D], of the output norm
  Tensor out_shift;
};

/// The vector `temb` and what follows from it, computed once a step.
///
///   temb = embed_t(1000 t) [+ embed_g(1000 g)],   embed(x) = linear_2(silu(linear_1(sinusoid(x))))
///   modulation = linear(silu(temb))
///
/// @param timesteps  t of each sample, in [0, 1] (sigma)
/// @param guidance   g of each sample; used only by a model with a guidance embedder
StepModulations modulate(Ops& ops, const TransformerWeights& weights,
                         const TransformerConfig& config, std::span<const float> timesteps,
                         std::span<const float> guidance);

/// Timestep sinusoid on the host, [values.size(), channels]: first half cosines, second half sines
/// of value * 10000^(-i / (channels / 2)), all in float as in the reference.
Tensor sinusoid(std::span<const float> values, std::int64_t channels);

}  // namespace flux2
