#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "diffusion/positions.h"
#include "diffusion/schedule.h"
#include "flux2/pipeline.h"
#include "pipeline/inpaint_plan.h"
#include "pipeline/model_folder.h"

namespace flux2 {

/// A request that has been checked against a model, with every default filled in.
struct Call {
  Request request;                ///< nothing that matters is unset any more
  std::int64_t prompts = 1;       ///< prompts, or rows of prompt_embeds
  std::int64_t batch = 1;         ///< pictures: prompts * num_images_per_prompt
  TokenGrid grid;                 ///< of a picture
  std::vector<Image> references;  ///< as the VAE takes them: rgb, sides a multiple of 16
  std::optional<InpaintPlan> inpaint;
  Schedule schedule;             ///< the steps that run: strength has taken the first ones off
  bool classifier_free = false;  ///< a second pass with the negative prompt
  std::vector<std::string> warnings;

  int width() const { return static_cast<int>(grid.columns) * kPixelsPerToken; }
  int height() const { return static_cast<int>(grid.rows) * kPixelsPerToken; }

  static constexpr int kPixelsPerToken = 16;
};

/// Checks `request` in the order of Diffusers' check_inputs, and fills in what it leaves open.
/// Where no seed is given one is drawn.
/// @throws Error invalid_request: names the argument
Call resolve(const Request& request, const ModelFolder& model);

}  // namespace flux2
