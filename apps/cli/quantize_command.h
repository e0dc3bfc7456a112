#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "progress.h"

namespace flux2::cli {

/// What `flux2 quantize` was told.
struct QuantizeCommand {
  std::string model = "nano";
  std::string output;
  int threads = 0;
  ProgressStyle progress = ProgressStyle::automatic;
  bool json = false;
};

/// Adds the subcommand `quantize`, which parses into `options`.
CLI::App* add_quantize(CLI::App& program, QuantizeCommand& options);

/// Writes the model and says what became of it.
/// @throws Error see quantize_model
void run_quantize(const QuantizeCommand& options);

}  // namespace flux2::cli
