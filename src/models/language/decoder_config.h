#pragma once

#include <cstdint>
#include <optional>

#include "checkpoint/config_file.h"
#include "models/language/block.h"

namespace flux2 {

/// Whether the output layer has a matrix of its own.
enum class HeadWeights {
  separate,
  tied,  ///< the embedding table is used, unless the checkpoint holds a matrix all the same
};

/// All that tells one decoder-only language model from another.
struct DecoderConfig {
  std::int64_t vocab_size = 0;
  std::int64_t layers = 0;
  BlockShape block;
  double rope_theta = 0;
  HeadWeights head = HeadWeights::separate;
};

/// The keys of a transformers config.json that Qwen3 and Mistral share.
/// @param config    the object that holds them: the file, or its text_config
/// @param tied      what a missing tie_word_embeddings means
/// @throws Error bad_file: a key is missing or out of range, or asks for something that this
///         decoder does not do (biases, sliding windows, scaled rope, another activation)
DecoderConfig read_decoder_config(const ConfigFile& config, HeadWeights tied);

/// What positions are rotated by: a place in a text, or a row and a column of a picture.
enum class RopeAxes { text, rows_and_columns };

/// rope_theta, in either spelling: a key of its own, or one of rope_parameters (transformers 5).
/// @throws Error bad_file: missing without `fallback`; a scaled kind of rope, or one over other
/// axes
double read_rope_theta(const ConfigFile& config, std::optional<double> fallback = {},
                       RopeAxes axes = RopeAxes::text);

/// hidden_act of a gated MLP.
/// @throws Error bad_file: not "silu"
void require_silu(const ConfigFile& config);

}  // namespace flux2
