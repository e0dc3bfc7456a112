#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/weights_table.h"
#include "models/language/decoder_config.h"
#include "ops/ops.h"
#include "tensor/tensor.h"

namespace flux2 {

/// What a language model is loaded for, which decides how many of its layers are read.
struct DecoderUse {
  enum class Generation { no, yes };

  /// Hidden states that will be asked for: 0 is the embedding, k the output of the k-th layer.
  std::vector<std::int64_t> taps;
  /// Continuing a text needs every layer and the output matrix.
  Generation generation = Generation::no;
};

/// Where a checkpoint keeps a decoder, in its canonical names.
struct LanguageNames {
  std::string decoder;  ///< before "embed_tokens.weight" and "layers.0."
  std::string head;     ///< of the output matrix
};

/// Token ids of B texts of L tokens each, padded on either side.
struct TokenBatch {
  std::vector<std::int32_t> ids;  ///< [B, L]
  std::vector<KeyRange> real;     ///< [B] the tokens of each text that are not padding
  std::int64_t length = 0;        ///< L

  std::int64_t size() const { return static_cast<std::int64_t>(real.size()); }
};

/// Called after each layer of each text with the layers done and to do; may throw to stop.
using LayerProgress = std::function<void(std::int64_t done, std::int64_t total)>;

/// A decoder-only language model: Qwen3, or the text half of Mistral3.
class Decoder {
 public:
  /// @throws Error invalid_request: a tap beyond the last layer, or nothing to load for
  Decoder(const DecoderConfig& config, const DecoderUse& use);

  const DecoderConfig& config() const { return config_; }
  /// Layers that are loaded, of config().layers.
  std::int64_t loaded_layers() const { return static_cast<std::int64_t>(blocks_.size()); }
  /// Whether the output matrix is loaded.
  bool generates() const { return generation_ == DecoderUse::Generation::yes; }

  /// Declares every tensor of the decoder, those that `use` has no need for as unused.
  /// @throws Error bad_file: `checkpoint` was cut and holds too few layers
  void declare(WeightsTable& table, const LanguageNames& names, const Checkpoint& checkpoint);

  /// The hidden states `taps` of every token, side by side in that order: [B, L, taps * D], a
  /// stream. State k is the output of the k-th layer, state 0 the embedding, and the state after
  /// the very last layer is taken after the final norm, as in transformers.
  ///
  /// Positions count from 0 over the padding; tokens see real tokens at or before them. Texts are
  /// encoded one after another: one already fills the matmuls, memory does not grow with B, and
  /// a text's embedding does not depend on its neighbours.
  /// @throws Error invalid_request: a tap beyond the loaded layers; bad_file: an id that the
  ///         embedding table does not have
  Tensor hidden_states(Ops& ops, const TokenBatch& batch, std::span<const std::int64_t> taps,
                       const LayerProgress& on_layer = {}) const;

  /// Rows of the embedding table: [1, L, D], a stream.
  Tensor embed(Ops& ops, std::span<const std::int32_t> ids) const;

  /// An empty memory for up to `capacity` tokens of one text.
  KvCache make_cache(Ops& ops, std::int64_t capacity) const;

  /// Runs every layer over the next L tokens of a text and adds them to `cache`, which must have
  /// room for them.   embeddings [1, L, D]; returns the output of the last layer [1, L, D]
  Tensor advance(Ops& ops, KvCache& cache, const Tensor& embeddings) const;

  /// RmsNorm(x), the norm after the last layer.   x [1, L, D]
  Tensor final_norm(Ops& ops, const Tensor& x) const;
  /// Scores of every token of the vocabulary to come next, a stream.
  /// normed [1, L, D], returns [1, L, vocabulary]
  Tensor logits(Ops& ops, const Tensor& normed) const;

 private:
  void require_layers(const LanguageNames& names, const Checkpoint& checkpoint) const;
  void declare_head(WeightsTable& table, const LanguageNames& names, const Checkpoint& checkpoint);
  void check_ids(std::span<const std::int32_t> ids) const;

  DecoderConfig config_;
  DecoderUse::Generation generation_;
  std::vector<PreNormBlock> blocks_;
  Weight embedding_;
  Tensor final_norm_;
  Weight head_;
};

}  // namespace flux2
