#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "model_options.h"

namespace flux2::cli {

/// What `flux2 models` was told.
struct ModelsOptions {
  std::vector<std::string> paths;  ///< empty: the model that comes with the program, the cache's
  ModelOptions parts;
  bool json = false;
};

/// Adds the subcommand `models`, which parses into `options`.
CLI::App* add_models(CLI::App& program, ModelsOptions& options);

/// Prints what each folder or file holds and what it was taken for; of a folder that is no model
/// itself, the models that lie in it.
/// @throws Error bad_file: no model there
void run_models(const ModelsOptions& options);

}  // namespace flux2::cli
