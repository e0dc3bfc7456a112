#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "flux2/model.h"
#include "flux2/quantize.h"

namespace flux2 {

/// What quantize_source() wrote: all parts, not only those with integers in them.
struct QuantizedModel {
  QuantizeResult layers;
  std::vector<std::string> parts;
  std::int64_t tensors = 0;
  std::int64_t bytes_before = 0;
  std::int64_t bytes_after = 0;
};

/// quantize_model() for parts that may lie anywhere and need not be a whole model.
QuantizedModel quantize_source(const ModelSource& model, const std::filesystem::path& folder,
                               const QuantizeOptions& options);

}  // namespace flux2
