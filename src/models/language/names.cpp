#include "models/language/names.h"

#include <array>

#include "flux2/error.h"

namespace flux2 {
namespace {

struct Nesting {
  const char* decoder;
  const char* outer;
  const char* head;
};

constexpr std::array kNestings = {
    // transformers' save_pretrained of Mistral3, and older checkpoints
    Nesting{"language_model.model.", "", "language_model.lm_head.weight"},
    // transformers' own module tree since 4.52
    Nesting{"model.language_model.", "model.", "lm_head.weight"},
    // Qwen3, and text encoders saved alone for ComfyUI
    Nesting{"model.", "", "lm_head.weight"},
    Nesting{"text_encoder.model.", "text_encoder.", "text_encoder.lm_head.weight"},
    // a bare decoder without its output layer
    Nesting{"", "", "lm_head.weight"},
};

}  // namespace

LanguageNames find_language_names(const Checkpoint& checkpoint) {
  for (const Nesting& nesting : kNestings) {
    const std::string decoder = nesting.decoder;
    if (checkpoint.find(decoder + "embed_tokens.weight") == nullptr) continue;
    return {decoder, nesting.outer, nesting.head, checkpoint.find(nesting.head) != nullptr};
  }
  throw Error(ErrorCode::bad_file, "holds no language model: there is no embed_tokens.weight",
              checkpoint.path().string(), "expected a text encoder in the layout of transformers");
}

}  // namespace flux2
