#pragma once

#include <vector>

#include "checkpoint/weights_table.h"
#include "models/flux2/config.h"
#include "tensor/weight.h"

namespace flux2 {

/// One stream (text or image) of a double-stream block.
struct StreamWeights {
  Weight qkv;       ///< [3D, D]: rows q, k, v
  Tensor norm_q;    ///< [d]
  Tensor norm_k;    ///< [d]
  Weight out;       ///< [D, D]
  Weight mlp_up;    ///< [2M, D]: rows gate, up
  Weight mlp_down;  ///< [D, M]
};

struct DoubleStreamWeights {
  StreamWeights txt;
  StreamWeights img;
};

struct SingleStreamWeights {
  Weight qkv_mlp;  ///< [3D + 2M, D]: rows q, k, v, gate, up
  Tensor norm_q;   ///< [d]
  Tensor norm_k;   ///< [d]
  Weight out;      ///< [D, D + M]: columns attention, MLP
};

/// linear_2(silu(linear_1(sinusoid)))
struct EmbedderWeights {
  Weight linear_1;  ///< [D, timestep channels]
  Weight linear_2;  ///< [D, D]
};

struct TransformerWeights {
  Weight x_embedder;        ///< [D, in_channels]
  Weight context_embedder;  ///< [D, text_dim]
  EmbedderWeights timestep;
  EmbedderWeights guidance;      ///< only where config.guidance_embeds
  Weight double_modulation_img;  ///< [6D, D]: shift, scale, gate for attention, then for the MLP
  Weight double_modulation_txt;  ///< [6D, D]
  Weight single_modulation;      ///< [3D, D]: shift, scale, gate
  std::vector<DoubleStreamWeights> double_blocks;
  std::vector<SingleStreamWeights> single_blocks;
  Weight norm_out;  ///< [2D, D]: rows scale, shift (Diffusers' order)
  Weight proj_out;  ///< [out_channels, D]
};

/// Declares every tensor of the transformer by its Diffusers name. `weights` must outlive `table`.
void declare(WeightsTable& table, TransformerWeights& weights, const TransformerConfig& config);

}  // namespace flux2
