#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "diffusion/positions.h"
#include "diffusion/schedule.h"
#include "flux2/pipeline.h"
#include "pipeline/attention_bias.h"
#include "pipeline/inpaint_plan.h"
#include "pipeline/model_folder.h"
#include "pipeline/references.h"

namespace flux2 {

/// A request that has been checked against a model, with every default filled in.
struct Call {
  Request request;           ///< nothing that matters is unset any more
  std::int64_t prompts = 1;  ///< prompts, or rows of prompt_embeds
  std::int64_t batch = 1;    ///< pictures: prompts * num_images_per_prompt
  TokenGrid grid;            ///< of a picture
  References references;
  std::vector<InpaintPlan> inpaint;  ///< see plan_inpaint; empty: nothing is painted over
  Schedule schedule;                 ///< the steps that run: strength has taken the first ones off
  bool classifier_free = false;      ///< a second pass with the negative prompt
  std::vector<std::string> warnings;

  /// The one of picture `index`; only where something is painted over.
  const InpaintPlan& plan_of(std::int64_t index) const {
    return inpaint[static_cast<std::size_t>(index) % inpaint.size()];
  }
  /// Of one prompt, padding included.
  std::int64_t text_tokens() const;
  /// Tokens of one picture that attention runs over: text, latents and references.
  std::int64_t joint_tokens() const;
  /// What an attention mask of this call has to fit.
  AttentionShape attention_shape(const TransformerConfig& transformer) const;

  int width() const { return static_cast<int>(grid.columns) * kPixelsPerToken; }
  int height() const { return static_cast<int>(grid.rows) * kPixelsPerToken; }

  static constexpr int kPixelsPerToken = 16;
};

/// Checks `request` in the order of Diffusers' check_inputs, and fills in what it leaves open.
/// Where no seed is given one is drawn.
/// @throws Error invalid_request: names the argument
Call resolve(const Request& request, const ModelFolder& model);

}  // namespace flux2
