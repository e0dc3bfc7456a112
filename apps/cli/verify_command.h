#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "flux2/model.h"
#include "log.h"
#include "progress.h"

namespace flux2::cli {

/// What `flux2 verify` was told.
struct VerifyCommand {
  std::vector<std::string> files;
  std::string against;
  std::optional<Family> variant;
  int threads = 0;
  ProgressStyle progress = ProgressStyle::automatic;
  Verbosity verbosity = Verbosity::normal;
  bool json = false;
};

/// Adds the subcommand `verify`, which parses into `options`.
CLI::App* add_verify(CLI::App& program, VerifyCommand& options);

/// Prints what the files are and what is wrong with them.
/// @throws Error bad_file: something is wrong; see verify_files
void run_verify(const VerifyCommand& options);

}  // namespace flux2::cli
