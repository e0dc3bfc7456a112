#include <fmt/format.h>

#include <algorithm>

#include "pipeline/arrays.h"
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
  const LanguageModel& encoder = ctx.parts.text_encoder({.taps = taps}, ctx.ops, ctx.monitor);
  const std::int64_t width =
      encoder.decoder().config().block.width * static_cast<std::int64_t>(taps.size());
  if (width != ctx.model.transformer.text_dim) {
    throw Error(ErrorCode::invalid_request,
                fmt::format("{} layers of width {} do not make the transformer's text width {}",
                            taps.size(), encoder.decoder().config().block.width,
                            ctx.model.transformer.text_dim),
                "text_encoder_out_layers");
  }
  ctx.monitor.begin(Stage::encode_text);
  const Tensor states = ctx.ops.download(encoder.decoder().hidden_states(
      ctx.ops, batch, taps,
      [&](std::int64_t done, std::int64_t total) { ctx.monitor.advance(done, total); }));
  if (given > 0) text.prompts = states.slice(0, 0, given);
  if (encode_negative) text.negative = states.slice(0, given, states.dim(0) - given);
  return text;
}

}  // namespace flux2
