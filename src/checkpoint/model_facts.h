#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "checkpoint/metadata.h"
#include "checkpoint/namings.h"

namespace flux2 {

/// What files say about a language model where there is no config.json: what its tensors' shapes
/// do not tell. Unset: the file is silent.
struct ModelFacts {
  std::optional<std::int64_t> head_dim;
  std::optional<std::int64_t> vision_head_dim;
  std::optional<double> rope_theta;
  std::optional<double> rms_norm_eps;
  std::optional<std::int64_t> layers;  ///< of the whole model: a file that was cut holds fewer

  HeadDims heads() const {
    const HeadDims published;
    return {.text = head_dim.value_or(published.text),
            .vision = vision_head_dim.value_or(published.vision)};
  }
};

/// The params.json beside Mistral's consolidated.safetensors; nothing is set where there is none.
/// @throws Error bad_file: damaged, a value out of range
ModelFacts read_mistral_params(const std::filesystem::path& folder);

/// The keys of a GGUF file; nothing is set where `metadata` is not one's.
ModelFacts read_gguf_facts(const Metadata& metadata);

}  // namespace flux2
