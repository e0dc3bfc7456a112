#pragma once

#include <cstdint>
#include <vector>

#include "flux2/run.h"
#include "images/geometry.h"
#include "pipeline/call.h"

namespace flux2 {

/// A call as far as memory and time depend on it: sizes and counts.
struct Workload {
  std::int64_t texts = 0;           ///< that the text encoder reads
  std::int64_t rewritten = 0;       ///< prompts that it rewrites before
  std::int64_t encoder_tokens = 0;  ///< of each text, padding included
  std::vector<std::int64_t> taps;   ///< hidden states that make an embedding

  std::int64_t prompts = 1;
  std::int64_t batch = 1;                 ///< pictures
  std::vector<std::int64_t> pass_tokens;  ///< text tokens of each forward pass of a step
  TokenGrid grid;                         ///< of a picture
  std::int64_t reference_tokens = 0;      ///< of a sample
  std::vector<Size> encoded;              ///< pictures that the VAE encodes
  std::int64_t steps = 1;
  std::int64_t mask_elements = 0;  ///< of an attention mask
  enum class Previews { no, yes };
  Previews previews = Previews::no;
  Output output = Output::images;  ///< how far it goes
};

Workload workload_of(const Call& call, const RunOptions& options);

/// One picture of the model's usual size from one prompt.
Workload usual_workload(const ModelFolder& model);

}  // namespace flux2
