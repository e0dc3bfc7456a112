#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizers/tokenizer.h"

namespace flux2 {

/// The two ways in which FLUX.2's checkpoints talk to their text encoders.
enum class PromptFamily {
  klein,  ///< Qwen3's chat, thinking switched off; padded on the right
  dev,    ///< Mistral's, with a system message; padded on the left
};

/// A prompt as a text encoder takes it: L = the length asked for.
struct TokenizedPrompt {
  std::vector<std::int32_t> ids;   ///< [L]
  std::vector<std::int32_t> mask;  ///< [L] 1: token of the prompt, 0: padding
  std::size_t first_valid = 0;     ///< the prompt's tokens are ids[first_valid .. + count)
  std::size_t count = 0;
};

/// `<|im_start|>user\n` prompt `<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n`:
/// Qwen3's chat template with one user message, add_generation_prompt and no thinking.
std::string klein_chat(std::string_view prompt);

/// `<s>[SYSTEM_PROMPT]` message `[/SYSTEM_PROMPT][INST]` prompt `[/INST]`; each "[IMG]" in the
/// prompt is removed, as in Diffusers' format_input.
std::string dev_chat(std::string_view prompt);

/// A picture that the language model sees, in merged patches of 28 x 28 pixels.
struct ImageGrid {
  std::size_t rows;
  std::size_t columns;
};

/// The conversation that rewrites a prompt: the system message for texts or, where there are
/// pictures, for edits; one user turn with the pictures, and one with the prompt. A picture is
/// `rows` times `columns` x [IMG], with [IMG_BREAK] behind each row and [IMG_END] behind the last.
/// @throws Error invalid_request: a picture without rows or columns, or too large
std::string dev_upsampling_chat(std::string_view prompt, std::span<const ImageGrid> images);

/// The same for Qwen3, which sees no pictures: [dev]'s system message for texts and one user turn,
/// with no thinking. FLUX.2's own code rewrites prompts with [dev] alone.
std::string klein_upsampling_chat(std::string_view prompt);

/// What Diffusers hands to the text encoder: the family's template, cut to `max_length` tokens (the
/// first ones stay, so a template's end may be lost) and padded to it. Sides and padding token are
/// those of the checkpoint's tokenizer_config.json; where it is silent, the family's.
/// @throws Error invalid_request: not UTF-8, max_length 0
///         Error bad_file: no padding token in the vocabulary; another chat template
TokenizedPrompt encode_prompt(const Tokenizer& tokenizer, PromptFamily family,
                              std::string_view prompt, std::size_t max_length);

/// Diffusers pads or cuts the conversation of caption upsampling to this many tokens.
inline constexpr std::size_t kUpsamplingLength = 2048;

/// dev_upsampling_chat(), cut and padded to `max_length` as encode_prompt() does.
/// @throws Error invalid_request: as encode_prompt(), and where the cut would lose a part of a
/// picture
TokenizedPrompt encode_upsampling(const Tokenizer& tokenizer, std::string_view prompt,
                                  std::span<const ImageGrid> images,
                                  std::size_t max_length = kUpsamplingLength);

}  // namespace flux2
