#pragma once

#include <optional>
#include <string>

#include "pipeline/model_folder.h"

namespace flux2 {

/// A published model with random weights (see random_checkpoint): its shapes, nothing of its
/// knowledge. It has no tokenizer.
/// @param name    "klein-4b", "klein-base-4b", "klein-9b", "klein-base-9b", "klein-9b-kv", "dev"
/// @param blocks  keep at most so many blocks of each kind, and so many layers of the text encoder
///                (three at least, the tapped ones); none: all
/// @throws Error invalid_request: no such model
ModelFolder random_model(const std::string& name, std::optional<int> blocks = {});

/// The hidden states that a request to `model` should take: the family's, or where a random model
/// was cut short of them, its last three.
std::vector<int> text_layers_of(const ModelFolder& model);

}  // namespace flux2
