#include "models/language/generation.h"

#include <algorithm>
#include <array>
#include <string>

#include "flux2/error.h"

namespace flux2 {
namespace {

constexpr std::int64_t kPromptPiece = 512;
constexpr std::int64_t kMostNewTokens = 1 << 20;

void check(const Decoder& decoder, const Tensor& prompt, const GenerationSettings& settings) {
  if (!decoder.generates())
    throw Error(ErrorCode::invalid_request, "the text encoder was loaded to encode only");
  if (prompt.dim(1) < 1)
    throw Error(ErrorCode::invalid_request, "there is no text to continue", "prompt");
  if (settings.max_new_tokens < 0 || settings.max_new_tokens > kMostNewTokens) {
    throw Error(ErrorCode::invalid_request,
                std::to_string(settings.max_new_tokens) + " new tokens are not between 0 and " +
                    std::to_string(kMostNewTokens),
                "max_new_tokens");
  }
}

// Runs the decoder over `embeddings` and scores what follows its last token.
std::vector<float> next_scores(Ops& ops, const Decoder& decoder, KvCache& cache,
                               const Tensor& embeddings) {
  const Tensor x = decoder.advance(ops, cache, embeddings);
  const Tensor last = decoder.final_norm(ops, x.slice(1, x.dim(1) - 1, 1));
  return to_vector(ops.download(decoder.logits(ops, last)));
}

std::vector<float> read_prompt(Ops& ops, const Decoder& decoder, KvCache& cache,
                               const Tensor& prompt) {
  std::int64_t read = 0;
  for (; prompt.dim(1) - read > kPromptPiece; read += kPromptPiece)
    decoder.advance(ops, cache, prompt.slice(1, read, kPromptPiece));
  return next_scores(ops, decoder, cache, prompt.slice(1, read, prompt.dim(1) - read));
}

}  // namespace

std::vector<std::int32_t> generate(Ops& ops, const Decoder& decoder, const Tensor& prompt,
                                   const GenerationSettings& settings) {
  check(decoder, prompt, settings);
  Sampler sampler(settings.sampling);
  std::vector<std::int32_t> text;
  if (settings.max_new_tokens == 0) return text;

  KvCache cache = decoder.make_cache(ops, prompt.dim(1) + settings.max_new_tokens);
  std::vector<float> scores = read_prompt(ops, decoder, cache, prompt);
  const std::vector<std::int32_t>& stops = settings.stop_tokens;
  for (;;) {
    const std::int32_t token = sampler.pick(scores);
    if (settings.on_token) settings.on_token(token, scores);
    if (std::find(stops.begin(), stops.end(), token) != stops.end()) return text;
    text.push_back(token);
    if (static_cast<std::int64_t>(text.size()) == settings.max_new_tokens) return text;
    scores = next_scores(ops, decoder, cache, decoder.embed(ops, std::array{token}));
  }
}

}  // namespace flux2
