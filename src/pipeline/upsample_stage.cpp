#include "pipeline/upsample_stage.h"

#include <fmt/format.h>

#include <algorithm>

#include "images/vision.h"
#include "tokenizers/chat_template.h"

namespace flux2 {
namespace {

// What ends the answer of each family's language model.
std::vector<std::int32_t> stop_tokens(const Tokenizer& tokenizer, PromptFamily family) {
  const std::vector<const char*> names =
      family == PromptFamily::dev ? std::vector<const char*>{"</s>"}
                                  : std::vector<const char*>{"<|im_end|>", "<|endoftext|>"};
  std::vector<std::int32_t> ids;
  for (const char* name : names) {
    if (const auto id = tokenizer.token_to_id(name)) ids.push_back(*id);
  }
  return ids;
}

// Every picture of a call, as it was given.
std::vector<const Image*> pictures_of(const Request& request) {
  std::vector<const Image*> pictures;
  if (request.inpaint) {
    for (const Image& image : request.inpaint->image)
      pictures.push_back(&image);
  }
  for (const Image& image : request.image)
    pictures.push_back(&image);
  return pictures;
}

std::vector<std::int32_t> real_tokens(const TokenizedPrompt& prompt) {
  const auto first = prompt.ids.begin() + static_cast<std::ptrdiff_t>(prompt.first_valid);
  return {first, first + static_cast<std::ptrdiff_t>(prompt.count)};
}

UpsamplingPrompt dev_prompt(const StageContext& ctx, const std::string& prompt) {
  UpsamplingPrompt result;
  std::vector<ImageGrid> grids;
  const std::vector<const Image*> pictures = pictures_of(ctx.call.request);
  if (!pictures.empty()) {
    const Image picture = vision_picture(join_pictures(pictures));
    grids.push_back({static_cast<std::size_t>(picture.height / kVisionMultiple),
                     static_cast<std::size_t>(picture.width / kVisionMultiple)});
    result.pictures.push_back(
        make_host_tensor({1, picture.height, picture.width, 3}, normalised_pixels(picture)));
  }
  result.ids = real_tokens(encode_upsampling(ctx.parts.tokenizer(), prompt, grids));
  return result;
}

UpsamplingPrompt klein_prompt(const StageContext& ctx, const std::string& prompt) {
  UpsamplingPrompt result;
  result.ids = ctx.parts.tokenizer().encode(klein_upsampling_chat(prompt), SpecialTokens::take_in);
  if (result.ids.size() > kUpsamplingLength) {
    throw Error(ErrorCode::invalid_request,
                fmt::format("a conversation of {} tokens is too long to rewrite a prompt; {} are "
                            "possible",
                            result.ids.size(), kUpsamplingLength),
                "prompt", "shorten the prompt");
  }
  return result;
}

// All of the text encoder, so that the embeddings that follow need no other.
const LanguageModel& writer(const StageContext& ctx) {
  const std::vector<int>& layers = ctx.call.request.text_encoder_out_layers;
  return ctx.parts.text_encoder(
      {.taps = {layers.begin(), layers.end()}, .generation = DecoderUse::Generation::yes}, ctx.ops,
      ctx.monitor);
}

}  // namespace

UpsamplingPrompt upsampling_prompt(const StageContext& ctx, const std::string& prompt) {
  return ctx.model.traits->prompt == PromptFamily::dev ? dev_prompt(ctx, prompt)
                                                       : klein_prompt(ctx, prompt);
}

std::string upsample_prompt(const StageContext& ctx, const std::string& prompt,
                            GenerationSettings settings) {
  const Tokenizer& tokenizer = ctx.parts.tokenizer();
  const LanguageModel& model = writer(ctx);
  const UpsamplingPrompt conversation = upsampling_prompt(ctx, prompt);
  settings.stop_tokens = stop_tokens(tokenizer, ctx.model.traits->prompt);
  const Tensor embedded = model.embed_prompt(ctx.ops, conversation.ids, conversation.pictures);
  const std::vector<std::int32_t> tokens = generate(ctx.ops, model.decoder(), embedded, settings);
  return tokenizer.decode(tokens, SpecialTokens::keep_out);
}

std::vector<std::string> upsample_prompts(const StageContext& ctx) {
  const Request& request = ctx.call.request;
  std::vector<std::string> rewritten;
  if (!request.caption_upsample_temperature) return rewritten;

  writer(ctx);
  const std::uint64_t seed = request.seeds.empty() ? 0 : request.seeds.front();
  const std::int64_t most = kMostUpsampledTokens * ctx.call.prompts;
  ctx.monitor.begin(Stage::upsample, most);
  std::int64_t done = 0;
  for (const std::string& prompt : request.prompt) {
    const auto number = static_cast<std::uint64_t>(rewritten.size());
    rewritten.push_back(upsample_prompt(
        ctx, prompt,
        {.max_new_tokens = kMostUpsampledTokens,
         .sampling = {.temperature = *request.caption_upsample_temperature, .seed = seed + number},
         .stop_tokens = {},
         .on_token = [&](std::int32_t, std::span<const float>) {
           ctx.monitor.advance(++done, most);
         }}));
  }
  return rewritten;
}

}  // namespace flux2
