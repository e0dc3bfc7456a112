#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "flux2/pipeline.h"

namespace flux2::cli {

/// What `flux2 generate` was told about painting over a picture; no file has been read.
struct InpaintOptions {
  std::vector<std::string> images;
  std::vector<std::string> masks;
  std::optional<double> strength;
  std::optional<int> padding_mask_crop;
  bool keep_unmasked = false;
  std::vector<int> outpaint;  ///< left, top, right, bottom
};

void add_inpaint(CLI::App& app, InpaintOptions& options);

/// Puts the options over what `request` has; a new picture replaces all of it.
/// @throws Error bad_file: a picture that cannot be read; invalid_request: no picture for the
///         other options, or not four sides
void replace_inpaint(Request& request, const InpaintOptions& options);

}  // namespace flux2::cli
