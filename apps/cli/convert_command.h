#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "flux2/convert.h"
#include "log.h"
#include "model_options.h"
#include "progress.h"

namespace flux2::cli {

/// What `flux2 convert` was told.
struct ConvertCommand {
  std::string input;
  std::string output;
  ModelOptions parts;
  ConvertOptions convert;
  ProgressStyle progress = ProgressStyle::automatic;
  Verbosity verbosity = Verbosity::normal;
  bool json = false;
};

/// Adds the subcommand `convert`, which parses into `options`.
CLI::App* add_convert(CLI::App& program, ConvertCommand& options);

/// Writes the model anew and says what became of it.
/// @throws Error see convert_model
void run_convert(const ConvertCommand& options);

}  // namespace flux2::cli
