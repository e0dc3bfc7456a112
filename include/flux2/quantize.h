#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>

#include "flux2/export.h"

namespace FLUX2_API flux2 {

/// How far quantising is.
struct QuantizeProgress {
  std::string part;        ///< "transformer" or "text_encoder"
  std::int64_t done = 0;   ///< bytes written of its weights
  std::int64_t total = 0;  ///< bytes
};

/// How a model is quantised.
struct QuantizeOptions {
  int threads = 0;                                             ///< 0: as many as may be used
  std::stop_token stop = {};                                   ///< ends it with Error cancelled
  std::function<void(const QuantizeProgress&)> progress = {};  ///< called often
};

/// What was made.
struct QuantizeResult {
  std::int64_t quantized_layers = 0;  ///< linear layers that are integers now
  std::int64_t rotated_layers = 0;    ///< those of them that were rotated before
  std::int64_t bytes_before = 0;      ///< weights of text encoder and transformer
  std::int64_t bytes_after = 0;       ///< the same
};

/// Writes a model whose linear layers inside the blocks of text encoder and transformer are 8-bit
/// integers with a scale an output, in Diffusers' layout (docs/int8.md says how). Everything else
/// is copied as it is. What `Compute::int8` does while it loads a model is done once here: the
/// pictures are the same, loading is faster and the files are half as large.
///
/// Needs memory for a few rows only. `folder` appears complete or not at all.
/// @param model    as ModelSource::model
/// @param folder   must not exist yet
/// @param options  threads, stop, progress
/// @throws Error bad_file (also where `folder` exists or the disk is full), cancelled
QuantizeResult quantize_model(const std::string& model, const std::filesystem::path& folder,
                              const QuantizeOptions& options = {});

}  // namespace flux2
