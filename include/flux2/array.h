#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "flux2/export.h"

namespace FLUX2_API flux2 {

/// A dense array of floats, row-major: latents, embeddings.
struct FloatArray {
  std::vector<std::int64_t> shape;  ///< outermost dimension first
  std::vector<float> values;        ///< as many as the product of `shape`
  std::string file;                 ///< where it was read from, for messages; empty if it was not
};

/// The tensor `name` of a safetensors file, widened to float.
/// @throws Error bad_file: damaged file, no such tensor, not of a floating type, NaN or infinity
FloatArray load_array(const std::filesystem::path& path, const std::string& name);

/// Writes `array` as the F32 tensor `name` of a new safetensors file; complete or not at all.
void save_array(const FloatArray& array, const std::filesystem::path& path,
                const std::string& name);

}  // namespace flux2
