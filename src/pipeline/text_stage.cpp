#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

#include "base/parallel.h"
#include "pipeline/arrays.h"
#include "pipeline/prompt_key.h"
#include "pipeline/stages.h"
#include "tokenizers/chat_template.h"

namespace flux2 {
namespace {

// Diffusers guides klein base away from the empty prompt.
constexpr const char* kNegativePrompt = "";

TokenBatch tokenize(const StageContext& ctx, const std::vector<std::string>& prompts) {
  const auto length = static_cast<std::size_t>(*ctx.call.request.max_sequence_length);
  TokenBatch batch;
  batch.length = static_cast<std::int64_t>(length);
  for (const std::string& prompt : prompts) {
    const TokenizedPrompt tokens =
        encode_prompt(ctx.parts.tokenizer(), ctx.model.traits->prompt, prompt, length);
    batch.ids.insert(batch.ids.end(), tokens.ids.begin(), tokens.ids.end());
    const auto first = static_cast<std::int64_t>(tokens.first_valid);
    batch.real.push_back({first, first + static_cast<std::int64_t>(tokens.count)});
  }
  return batch;
}

std::vector<std::string> negative_prompts(const Request& request) {
  if (request.negative_prompt.empty()) return {kNegativePrompt};
  return request.negative_prompt;
}

// [texts, L, W] by the text encoder.
Tensor run_text_encoder(const StageContext& ctx, const TokenBatch& batch,
                        const std::vector<std::int64_t>& taps) {
  const LanguageModel& encoder = ctx.parts.text_encoder({.taps = taps}, ctx.ops, ctx.monitor);
  const std::int64_t width = encoder.decoder().config().block.width;
  if (width * static_cast<std::int64_t>(taps.size()) != ctx.model.transformer.text_dim) {
    throw Error(ErrorCode::invalid_request,
                fmt::format("{} layers of width {} do not make the transformer's text width {}",
                            taps.size(), width, ctx.model.transformer.text_dim),
                "text_encoder_out_layers");
  }
  if (ctx.monitor.options().output != Output::prompt_embeds) ctx.parts.expect_transformer();
  ctx.monitor.begin(Stage::encode_text);
  return ctx.ops.download(encoder.decoder().hidden_states(
      ctx.ops, batch, taps,
      [&](std::int64_t done, std::int64_t total) { ctx.monitor.advance(done, total); }));
}

// The texts of a call, which of them are in the cache, and which have to be encoded.
class CachedTexts {
 public:
  CachedTexts(const StageContext& ctx, const TokenBatch& batch,
              const std::vector<std::int64_t>& taps)
      : ctx_(ctx), batch_(batch), taps_(taps), found_(batch.real.size()) {}

  // [texts, L, W]
  Tensor embeddings() {
    if (ctx_.prompt_cache == nullptr) return run_text_encoder(ctx_, batch_, taps_);
    missing_.length = batch_.length;
    const Keys keys(*this);
    for (std::int64_t i = 0; i < batch_.size(); ++i)
      look_up(keys, i);
    if (places_.empty()) return joined({});
    const Tensor encoded = run_text_encoder(ctx_, missing_, taps_);
    keep(encoded);
    return joined(encoded);
  }

  int hits() const { return static_cast<int>(batch_.size()) - static_cast<int>(places_.size()); }

 private:
  // Of the text encoder that is loaded, else of the one that would be.
  struct Keys {
    explicit Keys(const CachedTexts& texts)
        : ctx(texts.ctx_), taps(texts.taps_), fingerprint(ctx.parts.text_encoder_fingerprint()) {}

    std::string of(const TokenBatch& batch, std::int64_t index) const {
      return prompt_key({.text_encoder = fingerprint,
                         .change = ctx.parts.text_encoder_change(),
                         .backend = ctx.ops.name(),
                         .threads = thread_count(),
                         .taps = taps},
                        batch, index);
    }

    const StageContext& ctx;
    const std::vector<std::int64_t>& taps;
    std::string fingerprint;
  };

  void look_up(const Keys& keys, std::int64_t index) {
    const auto row = static_cast<std::size_t>(index);
    const Tensor found = ctx_.prompt_cache->find(keys.of(batch_, index), batch_.length, warn());
    if (found.defined() && found.dim(2) == ctx_.model.transformer.text_dim) {
      found_[row] = found;
      return;
    }
    const auto length = static_cast<std::ptrdiff_t>(batch_.length);
    const auto ids = batch_.ids.begin() + index * length;
    missing_.ids.insert(missing_.ids.end(), ids, ids + length);
    missing_.real.push_back(batch_.real[row]);
    places_.push_back(row);
  }

  // Under the key of what was loaded: the files may have changed since they were looked up.
  void keep(const Tensor& encoded) const {
    const Keys keys(*this);
    for (std::int64_t i = 0; i < missing_.size(); ++i)
      ctx_.prompt_cache->keep(keys.of(missing_, i), encoded.slice(0, i, 1), warn());
  }

  Tensor joined(const Tensor& encoded) {
    for (std::size_t i = 0; i < places_.size(); ++i)
      found_[places_[i]] = encoded.slice(0, static_cast<std::int64_t>(i), 1);
    if (found_.size() == 1) return found_.front();
    const Tensor all = make_host_tensor({batch_.size(), batch_.length, found_.front().dim(2)});
    std::span<float> rest = values_of(all);
    for (const Tensor& text : found_) {
      const std::span<const float> values = values_of(text);
      std::copy(values.begin(), values.end(), rest.begin());
      rest = rest.subspan(values.size());
    }
    return all;
  }

  PromptCache::Warn warn() const {
    return [this](std::string warning) { ctx_.monitor.warn(std::move(warning)); };
  }

  const StageContext& ctx_;
  const TokenBatch& batch_;
  const std::vector<std::int64_t>& taps_;
  std::vector<Tensor> found_;  // [texts] of [1, L, W]
  TokenBatch missing_;
  std::vector<std::size_t> places_;  // of `missing_` in the batch
};

}  // namespace

TextEmbeddings encode_text(const StageContext& ctx, const std::vector<std::string>& prompts) {
  const Request& request = ctx.call.request;
  TextEmbeddings text;
  std::vector<std::string> texts;
  if (request.prompt_embeds) {
    text.prompts = to_tensor(*request.prompt_embeds);
  } else {
    texts = prompts;
  }
  const auto given = static_cast<std::int64_t>(texts.size());
  const bool negative =
      ctx.call.classifier_free && ctx.monitor.options().output != Output::prompt_embeds;
  if (negative && request.negative_prompt_embeds) {
    text.negative = to_tensor(*request.negative_prompt_embeds);
  }
  const bool encode_negative = negative && !text.negative.defined();
  if (encode_negative) {
    const std::vector<std::string> unwanted = negative_prompts(request);
    texts.insert(texts.end(), unwanted.begin(), unwanted.end());
  }
  if (texts.empty()) return text;

  const TokenBatch batch = tokenize(ctx, texts);
  const std::vector<std::int64_t> taps(request.text_encoder_out_layers.begin(),
                                       request.text_encoder_out_layers.end());
  CachedTexts cached(ctx, batch, taps);
  const Tensor states = cached.embeddings();
  if (ctx.prompt_cache != nullptr) text.cached = cached.hits();
  if (given > 0) text.prompts = states.slice(0, 0, given);
  if (encode_negative) text.negative = states.slice(0, given, states.dim(0) - given);
  return text;
}

}  // namespace flux2
