#pragma once

#include <CLI/CLI.hpp>
#include <stop_token>
#include <string>

#include "flux2/hub.h"
#include "log.h"
#include "terminal_bar.h"

namespace flux2::cli {

/// What `flux2 pull` was told.
struct PullCommandOptions {
  std::string repo;
  PullOptions pull;
  ProgressStyle progress = ProgressStyle::automatic;
  Verbosity verbosity = Verbosity::normal;
  bool json = false;
};

/// Adds the subcommand `pull`, which parses into `options`.
CLI::App* add_pull(CLI::App& program, PullCommandOptions& options);

/// Brings a model into the cache of the Hugging Face Hub and prints its folder.
/// @throws Error what flux2::pull throws
void run_pull(const PullCommandOptions& options);

/// The folder that MODEL means; a repository of the hub is brought first, with a progress bar,
/// unless it is in the cache.
std::string bring_model(const std::string& model, ProgressStyle style, const std::stop_token& stop);

/// "2.1 of 7.9 GB, 85.0 MB/s, 1:08 left"
std::string pull_counts(const PullProgress& progress);

}  // namespace flux2::cli
