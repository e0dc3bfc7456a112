#include "pipeline/prompt_key.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <span>

#include "flux2/version.h"
#include "hub/digest.h"

namespace flux2 {
namespace {

// To be raised when text encoders give other numbers than before, or entries look different.
constexpr int kFormat = 1;

// With its length in front, so that no two lists of parts are one text.
std::string counted(std::string_view part) {
  return fmt::format("{}:{}\n", part.size(), part);
}

}  // namespace

std::string prompt_key(const PromptKeyParts& parts, const TokenBatch& batch, std::int64_t index) {
  const auto length = static_cast<std::size_t>(batch.length);
  const auto row = static_cast<std::size_t>(index);
  const auto ids = std::span(batch.ids).subspan(row * length, length);
  const KeyRange& real = batch.real[row];
  std::string text = fmt::format("flux2 prompt embeddings {}\n", kFormat);
  for (const std::string_view part :
       {std::string_view(version()), parts.text_encoder, parts.change, parts.backend})
    text += counted(part);
  text += fmt::format("{} threads; tokens {} to {} of {}; layers {}\n", parts.threads, real.begin,
                      real.end, fmt::join(ids, " "), fmt::join(parts.taps, " "));
  return sha256_of(std::as_bytes(std::span(text)));
}

}  // namespace flux2
