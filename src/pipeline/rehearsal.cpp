#include "pipeline/rehearsal.h"

#include <algorithm>
#include <array>
#include <string>

#include "checkpoint/streaming_ops.h"
#include "models/autoencoder/autoencoder.h"
#include "models/flux2/transformer.h"
#include "models/language/language_model.h"
#include "pipeline/stored_types.h"
#include "pipeline/upsample_stage.h"

namespace flux2 {
namespace {

using Afterwards = PartPlan::Afterwards;

constexpr std::int64_t kLatentsPerToken = 2;  // along a side
// A conversation that rewrites a prompt: the system's message and a usual prompt.
constexpr std::int64_t kConversationTokens = 512;
// Previews are decoded at about this part of a side: see preview_size.
constexpr std::int64_t kPreviewShrinks = 4;

// What most of a part is computed in: the layers of its blocks, or all where none are tolerant.
DType linear_type(const WeightsTable& table, const Checkpoint* checkpoint, const Ops& ops) {
  for (const WeightsTable::Entry& entry : table.entries()) {
    if (checkpoint == nullptr || entry.kind != WeightKind::linear) continue;
    if (entry.sensitivity != Sensitivity::tolerant) continue;
    return ops.linear_type(WeightsTable::sources_of(entry, *checkpoint), entry.sensitivity);
  }
  return ops.linear_type({}, Sensitivity::sensitive);
}

class Rehearsal {
 public:
  Rehearsal(const RehearsedModel& model, const Workload& work, const Choices& choices,
            const Backend& backend)
      : model_(model.folder),
        stored_(model),
        work_(work),
        choices_(choices),
        counted_(make_footprint_ops(backend)),
        footprint_(*counted_),
        streaming_(std::move(counted_)),
        ops_(streaming_) {}

  Rehearsed run() {
    if (work_.texts + work_.rewritten > 0) encode_text(*stored_.text_encoder);
    embeddings_.push_back(host(work_.prompts * work_.pass_tokens[0] * model_.transformer.text_dim));
    if (work_.output == Output::prompt_embeds) return std::move(result_);
    if (work_.reference_tokens > 0) encode_images();
    denoise();
    if (work_.output != Output::latents) decode();
    return std::move(result_);
  }

 private:
  Tensor host(std::int64_t elements) {
    return footprint_.host({std::max<std::int64_t>(1, elements)});
  }
  bool releases() const { return choices_.afterwards == Afterwards::released; }

  // Loads the part as far as memory goes.
  void add_part(PartPlan part, const WeightsTable& table, const Checkpoint* checkpoint) {
    streaming_.stream(part.streamed_share);
    const std::size_t before = footprint_.used_bytes();
    table.assume(ops_, checkpoint);
    part.resident_bytes = static_cast<std::int64_t>(footprint_.used_bytes() - before);
    if (part.streamed_share > 0) {
      const std::int64_t all = table.packed_bytes(*checkpoint, streaming_);
      part.streamed_bytes = std::max<std::int64_t>(0, all - part.resident_bytes);
    }
    part.weight_type = linear_type_ = name_for_people(linear_type(table, checkpoint, streaming_));
    part.afterwards = choices_.afterwards;
    result_.parts.push_back(std::move(part));
    streaming_.stream(0);
  }

  // Everything since the last stage ended; `times` as often as it was rehearsed.
  void end_stage(Stage stage, std::int64_t times = 1, const std::optional<Tiling>& tiles = {}) {
    std::vector<OpTiming> ops = ops_.report();
    for (OpTiming& op : ops) {
      op.flops *= static_cast<double>(times);
      op.bytes *= static_cast<double>(times);
    }
    result_.stages.push_back(
        {.stage = stage,
         .peak_bytes = static_cast<std::int64_t>(footprint_.take_peak()),
         .ops = std::move(ops),
         .prepared_bytes = loaded_bytes_ + static_cast<double>(times) * footprint_.take_prepared(),
         .linear_type = linear_type_,
         .tile = tiles ? static_cast<int>(tiles->sample_size) : 0});
    loaded_bytes_ = 0;
    ops_.clear();
  }

  // Loading happens once in a stage, however often the rest of it runs.
  void end_loading() {
    loaded_bytes_ += footprint_.take_prepared();
    ops_.clear();
  }

  void encode_text(const Checkpoint& weights) {
    using Generation = DecoderUse::Generation;
    const auto generation = work_.rewritten > 0 ? Generation::yes : Generation::no;
    const std::shared_ptr<LanguageModel> encoder =
        make_language_model(model_.config_of(PartKind::text_encoder).file,
                            {.taps = work_.taps, .generation = generation});
    add_part({.name = "text_encoder", .weight_type = {}, .streamed_share = choices_.text_streamed},
             encoder->weights(weights), &weights);
    end_loading();
    if (work_.rewritten > 0) rewrite(encoder->decoder());
    const auto texts = static_cast<std::size_t>(work_.texts);
    const TokenBatch batch = {
        .ids = std::vector<std::int32_t>(texts * static_cast<std::size_t>(work_.encoder_tokens)),
        .real = std::vector<KeyRange>(texts, {0, work_.encoder_tokens}),
        .length = work_.encoder_tokens};
    if (work_.texts > 0) {
      embeddings_.push_back(
          ops_.download(encoder->decoder().hidden_states(ops_, batch, work_.taps)));
    }
    end_stage(Stage::encode_text);
    if (releases()) {
      streaming_.release();
    } else {
      kept_encoder_ = encoder;
    }
  }

  void rewrite(const Decoder& decoder) {
    KvCache cache = decoder.make_cache(ops_, kConversationTokens + kMostUpsampledTokens);
    const std::vector<std::int32_t> ids(kConversationTokens);
    const auto next = [&](std::span<const std::int32_t> tokens) {
      const Tensor x = decoder.advance(ops_, cache, decoder.embed(ops_, tokens));
      decoder.logits(ops_, decoder.final_norm(ops_, x.slice(1, x.dim(1) - 1, 1)));
    };
    next(ids);
    end_loading();  // the first pass is a hundredth of what follows
    next(std::span(ids).first(1));
    end_stage(Stage::upsample, work_.rewritten * kMostUpsampledTokens);
  }

  void load_vae(CoderSides sides) {
    if (vae_) return;
    const std::size_t before = footprint_.used_bytes();
    vae_.emplace(Autoencoder::assume(model_.vae, ops_, sides));
    linear_type_ = name_for_people(streaming_.linear_type({}, Sensitivity::sensitive));
    result_.parts.push_back(
        {.name = "vae",
         .weight_type = linear_type_,
         .resident_bytes = static_cast<std::int64_t>(footprint_.used_bytes() - before)});
  }

  void encode_images() {
    load_vae(work_.encoded.empty() ? CoderSides::decoder : CoderSides::both);
    for (const Size& size : work_.encoded) {
      const Tensor pixels = host(std::int64_t{3} * size.width * size.height);
      const auto tile =
          part_of(choices_.encode_tiles, TileSource::picture, size.height, size.width);
      vae_->encode(ops_, footprint_.host({1, tile.rows, tile.columns, 3}));
    }
    references_ = host(work_.batch * work_.reference_tokens * model_.transformer.in_channels);
    end_stage(Stage::encode_images, 1, choices_.encode_tiles);
  }

  // What the VAE works on at once.
  static TokenGrid part_of(const std::optional<Tiling>& tiling, TileSource source,
                           std::int64_t rows, std::int64_t columns) {
    if (!tiling || !needs_tiles(*tiling, source, rows, columns)) return {rows, columns};
    const std::int64_t most =
        source == TileSource::picture ? tiling->sample_size : tiling->latent_size;
    return {std::min(rows, most), std::min(columns, most)};
  }

  Conditioning condition(const Transformer& model, std::int64_t tokens) {
    const TransformerConfig& config = model_.transformer;
    const std::vector<Position> text = text_positions(tokens);
    const std::vector<Position> latents = latent_positions(work_.grid);
    const std::vector<Position> references =
        reference_positions(std::array{TokenGrid{1, work_.reference_tokens}});
    ConditioningInputs inputs = {
        .text = ops_.upload(footprint_.host({work_.batch, tokens, config.text_dim}), Role::operand),
        .text_positions = text,
        .latent_positions = latents,
        .use = model_.traits->references};
    if (work_.mask_elements > 0) {
      const std::int64_t joint = tokens + work_.grid.tokens() + work_.reference_tokens;
      inputs.attention_bias = ops_.upload(footprint_.host({1, 1, joint, joint}), Role::stream);
    }
    if (work_.reference_tokens > 0) {
      inputs.references =
          ops_.upload(footprint_.host({work_.batch, work_.reference_tokens, config.in_channels}),
                      Role::operand);
      inputs.reference_positions = references;
    }
    return model.condition(ops_, inputs);
  }

  void denoise() {
    const TransformerConfig& config = model_.transformer;
    if (work_.previews == Workload::Previews::yes) load_vae(CoderSides::decoder);
    transformer_.emplace(config);
    add_part(
        {.name = "transformer", .weight_type = {}, .streamed_share = choices_.transformer_streamed},
        transformer_->weights(), &*stored_.transformer);
    std::vector<Conditioning> passes;
    for (const std::int64_t tokens : work_.pass_tokens)
      passes.push_back(condition(*transformer_, tokens));
    latents_ = host(work_.batch * work_.grid.tokens() * config.in_channels);
    const bool cached =
        model_.traits->references == ReferenceUse::cached && work_.reference_tokens > 0;
    if (cached) step(passes);  // the first one fills the cache
    end_loading();             // and counts as one of the others
    step(passes);
    end_stage(Stage::denoise, std::max<std::int64_t>(1, work_.steps));
  }

  void step(std::vector<Conditioning>& passes) {
    const std::vector<float> zeros(static_cast<std::size_t>(work_.batch));
    const bool guided = model_.traits->guidance == GuidanceKind::embedded;
    for (Conditioning& pass : passes) {
      const Tensor latents = ops_.upload(
          footprint_.host({work_.batch, work_.grid.tokens(), model_.transformer.in_channels}),
          Role::operand);
      const Tensor velocity = ops_.download(transformer_->velocity(
          ops_, pass, latents, zeros, guided ? zeros : std::span<const float>()));
    }
    if (work_.previews == Workload::Previews::yes) {
      decode_one(
          std::max<std::int64_t>(1, kLatentsPerToken * work_.grid.rows / kPreviewShrinks),
          std::max<std::int64_t>(1, kLatentsPerToken * work_.grid.columns / kPreviewShrinks));
    }
  }

  Tensor decode_one(std::int64_t rows, std::int64_t columns) {
    return vae_->decode(ops_, footprint_.host({1, rows, columns, model_.vae.latent_channels}));
  }

  void decode() {
    if (releases()) {
      transformer_.reset();
      streaming_.release();
      footprint_.trim();
      footprint_.take_peak();  // what was held until now is no part of this stage
    }
    load_vae(CoderSides::decoder);
    end_loading();
    const std::int64_t rows = kLatentsPerToken * work_.grid.rows;
    const std::int64_t columns = kLatentsPerToken * work_.grid.columns;
    const std::int64_t elements =
        3 * rows * columns * model_.vae.downscale() * model_.vae.downscale();
    const TokenGrid tile = part_of(choices_.decode_tiles, TileSource::latents, rows, columns);
    const bool tiled = tile.rows < rows || tile.columns < columns;
    // Tiles are kept for two rows of them; pictures as bytes, or as floats.
    const Tensor tiles = host(tiled ? elements + 2 * elements * tile.rows / rows : 0);
    const bool as_floats = work_.output == Output::pixels;
    const Tensor done = host(work_.batch * (as_floats ? elements : elements / 4));
    const Tensor picture = decode_one(tile.rows, tile.columns);
    const Tensor unit = host(elements);
    const std::int64_t parts = rows * columns / std::max<std::int64_t>(1, tile.rows * tile.columns);
    end_stage(Stage::decode, work_.batch * std::max<std::int64_t>(1, parts),
              tiled ? choices_.decode_tiles : std::nullopt);
  }

  const ModelFolder& model_;
  const RehearsedModel& stored_;
  const Workload& work_;
  const Choices& choices_;
  std::unique_ptr<FootprintOps> counted_;
  FootprintOps& footprint_;
  StreamingOps streaming_;
  TimingOps ops_;
  Rehearsed result_;
  std::string linear_type_;  // of the part that was loaded last
  double loaded_bytes_ = 0;
  std::vector<Tensor> embeddings_;
  Tensor references_, latents_;
  std::shared_ptr<LanguageModel> kept_encoder_;
  std::optional<Transformer> transformer_;
  std::optional<Autoencoder> vae_;
};

}  // namespace

Rehearsed rehearse(const RehearsedModel& model, const Workload& work, const Choices& choices,
                   const Backend& backend) {
  return Rehearsal(model, work, choices, backend).run();
}

}  // namespace flux2
