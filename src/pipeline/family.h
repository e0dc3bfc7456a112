#pragma once

#include <array>
#include <string_view>

#include "checkpoint/model_index.h"
#include "flux2/model.h"
#include "models/flux2/transformer.h"
#include "tokenizers/chat_template.h"

namespace flux2 {

/// How a guidance scale acts.
enum class GuidanceKind {
  none,             ///< it has no effect
  embedded,         ///< it is an input of the transformer
  classifier_free,  ///< a second forward pass with a negative prompt, for scales over 1
};

/// Everything that sets a member of the family apart: the pipelines are data, not code.
struct FamilyTraits {
  Family family;
  std::string_view title;           ///< "FLUX.2 [dev]"
  std::string_view pipeline_class;  ///< in model_index.json
  PromptFamily prompt;
  std::array<int, 3> text_layers;  ///< hidden states that make an embedding
  GuidanceKind guidance;
  ReferenceUse references;
  int default_steps;
  double default_guidance;
  /// Diffusers' own default, which shifts a schedule of custom sigmas where no steps are given.
  int signature_steps;
};

const FamilyTraits& traits_of(Family family);

/// @param name  of the file, for errors
/// @throws Error bad_file: not a FLUX.2 pipeline; says what it is
Family family_of(const ModelIndex& index, const std::string& name);

}  // namespace flux2
