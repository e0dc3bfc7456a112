#include "models/language/decoder.h"

#include <algorithm>
#include <string>

#include "checkpoint/shapes.h"
#include "flux2/error.h"
#include "models/language/rotary.h"
#include "models/language/tapped_states.h"

namespace flux2 {
namespace {

const BlockNames kBlockNames = {.attention_norm = "input_layernorm",
                                .attention = "self_attn",
                                .mlp_norm = "post_attention_layernorm",
                                .mlp = "mlp"};

std::int64_t deepest(std::span<const std::int64_t> taps) {
  return taps.empty() ? 0 : *std::max_element(taps.begin(), taps.end());
}

void check_taps(std::span<const std::int64_t> taps, std::int64_t layers) {
  for (const std::int64_t tap : taps) {
    if (tap >= 0 && tap <= layers) continue;
    throw Error(ErrorCode::invalid_request,
                "hidden state " + std::to_string(tap) + " was asked for, but there are 0 to " +
                    std::to_string(layers),
                "text_encoder_out_layers", "choose layers that the text encoder has");
  }
}

}  // namespace

Decoder::Decoder(const DecoderConfig& config, const DecoderUse& use)
    : config_(config), generation_(use.generation) {
  check_taps(use.taps, config.layers);
  if (use.taps.empty() && !generates()) {
    throw Error(ErrorCode::invalid_request, "no layer of the text encoder is asked for",
                "text_encoder_out_layers");
  }
  const std::int64_t layers = generates() ? config.layers : deepest(use.taps);
  blocks_.assign(static_cast<std::size_t>(layers), PreNormBlock(config.block));
}

// A file that was cut may do for the taps; what it lacks is said in whole layers.
void Decoder::require_layers(const LanguageNames& names, const Checkpoint& checkpoint) const {
  const std::int64_t held = count_layers(checkpoint, names.decoder + "layers.");
  if (held == 0 || held >= loaded_layers()) return;  // without any, the table says what is missing
  throw Error(ErrorCode::bad_file,
              "holds " + std::to_string(held) + " of the " + std::to_string(config_.layers) +
                  " layers of its text encoder, and " + std::to_string(loaded_layers()) +
                  " are needed",
              checkpoint.path().string(),
              generates() ? "a text encoder that was cut cannot rewrite prompts: give the whole one"
                          : "give the whole text encoder, or text_encoder_out_layers that it has");
}

void Decoder::declare(WeightsTable& table, const LanguageNames& names,
                      const Checkpoint& checkpoint) {
  require_layers(names, checkpoint);
  const std::int64_t width = config_.block.width;
  const WeightsScope model(table, names.decoder);
  model.embedding(embedding_, {"embed_tokens.weight", {config_.vocab_size, width}});
  PreNormBlock beyond_the_last_tap(config_.block);
  for (std::int64_t i = 0; i < config_.layers; ++i) {
    const bool loaded = i < loaded_layers();
    PreNormBlock& block = loaded ? blocks_[static_cast<std::size_t>(i)] : beyond_the_last_tap;
    block.declare(model.in("layers", i).tolerant(), kBlockNames);
    if (!loaded) table.skip(names.decoder + "layers." + std::to_string(i) + ".");
  }

  const Source norm = {"norm.weight", {width}};
  if (loaded_layers() == config_.layers) {
    model.vector(final_norm_, norm);
  } else {
    model.unused(norm);
  }
  declare_head(table, names, checkpoint);
}

void Decoder::declare_head(WeightsTable& table, const LanguageNames& names,
                           const Checkpoint& checkpoint) {
  const Shape shape = {config_.vocab_size, config_.block.width};
  const WeightsScope root(table);
  if (!generates()) {
    root.unused({names.head, shape});
  } else if (checkpoint.find(names.head) != nullptr || config_.head == HeadWeights::separate) {
    root.linear(head_, {{names.head, shape}});
  } else {
    root.linear(head_, {{names.decoder + "embed_tokens.weight", shape}});
  }
}

void Decoder::check_ids(std::span<const std::int32_t> ids) const {
  for (const std::int32_t id : ids) {
    if (id >= 0 && id < config_.vocab_size) continue;
    throw Error(ErrorCode::bad_file,
                "token " + std::to_string(id) + " is outside the vocabulary of " +
                    std::to_string(config_.vocab_size),
                "text encoder", "its tokenizer belongs to another model");
  }
}

Tensor Decoder::embed(Ops& ops, std::span<const std::int32_t> ids) const {
  check_ids(ids);
  const std::int64_t tokens = static_cast<std::int64_t>(ids.size());
  const Tensor x = ops.empty({1, tokens, config_.block.width}, Role::stream);
  ops.embedding(ids, embedding_, x.view({tokens, config_.block.width}));
  return x;
}

Tensor Decoder::hidden_states(Ops& ops, const TokenBatch& batch, std::span<const std::int64_t> taps,
                              const LayerProgress& on_layer) const {
  check_taps(taps, loaded_layers());
  const std::int64_t width = config_.block.width;
  const std::int64_t layers = deepest(taps);
  const Tensor out = ops.empty(
      {batch.size(), batch.length, width * static_cast<std::int64_t>(taps.size())}, Role::stream);
  const RopeTable rope =
      make_text_rope(ops, batch.length, config_.block.head_dim, config_.rope_theta);

  for (std::int64_t b = 0; b < batch.size(); ++b) {
    const PaddedText text = padded_text(batch, b);
    TappedStates states(out.slice(0, b, 1), taps, text.skipped);
    const PassContext context = {
        .ops = ops,
        .rope = rope.tokens(text.skipped, batch.length - text.skipped),
        .mask = {.causality = Causality::causal, .keys = {text.real}, .bias = {}}};

    const Tensor x = embed(ops, text.ids);
    states.keep(ops, 0, x);
    for (std::int64_t k = 1; k <= layers; ++k) {
      blocks_[static_cast<std::size_t>(k - 1)].forward(context, x);
      states.keep(ops, k, k == config_.layers ? final_norm(ops, x) : x);
      if (on_layer) on_layer(b * layers + k, batch.size() * layers);
    }
    states.fill_skipped(ops);
  }
  return out;
}

KvCache Decoder::make_cache(Ops& ops, std::int64_t capacity) const {
  const BlockShape& block = config_.block;
  KvCache cache;
  cache.rope = make_text_rope(ops, capacity, block.head_dim, config_.rope_theta);
  for (std::int64_t i = 0; i < loaded_layers(); ++i)
    cache.layers.emplace_back(ops, Shape{1, capacity, block.kv_heads, block.head_dim});
  return cache;
}

Tensor Decoder::advance(Ops& ops, KvCache& cache, const Tensor& embeddings) const {
  const PassContext context = {.ops = ops,
                               .rope = cache.rope.tokens(cache.tokens(), embeddings.dim(1)),
                               .mask = {.causality = Causality::causal, .keys = {}, .bias = {}}};
  const Tensor x = ops.empty(embeddings.shape(), Role::stream);
  ops.copy(embeddings, x);
  for (std::size_t i = 0; i < blocks_.size(); ++i)
    blocks_[i].forward(context, x, &cache.layers[i]);
  return x;
}

Tensor Decoder::final_norm(Ops& ops, const Tensor& x) const {
  const Tensor normed = ops.empty(x.shape(), Role::stream);
  ops.rms_norm(x, final_norm_, config_.block.eps, normed);
  return normed;
}

Tensor Decoder::logits(Ops& ops, const Tensor& normed) const {
  return ops.linear(normed, head_, Role::stream);
}

}  // namespace flux2
