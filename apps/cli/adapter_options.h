#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "flux2/pipeline.h"

namespace flux2::cli {

/// What `flux2 generate` was told about adapters; no file has been read.
struct AdapterOptions {
  std::vector<std::string> files;  ///< FILE or FILE:WEIGHT
  std::optional<double> scale;
  bool lenient = false;
  std::optional<AdaLnOrder> adaln_order;
};

void add_adapters(CLI::App& app, AdapterOptions& options);

/// Puts the options over what `request` has; a new adapter replaces all of them.
/// @throws Error invalid_request: no adapter for the other options
void replace_adapters(Request& request, const AdapterOptions& options);

/// "portrait: LoRA of rank 16, weight 0.8, 40 of 40 modules": a line for people.
std::string describe_adapter(const AdapterReport& adapter);

}  // namespace flux2::cli
