#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "flux2/bench.h"
#include "progress.h"

namespace flux2::cli {

/// What `flux2 bench` was told.
struct BenchCommandOptions {
  BenchOptions bench;
  bool plan = false;                ///< only say what it would take
  bool ops = false;                 ///< a table of operations for each stage
  std::optional<std::string> json;  ///< a file for the report; "-" is standard output
  ProgressStyle progress = ProgressStyle::automatic;
};

/// Adds the subcommand `bench`, which parses into `options`.
CLI::App* add_bench(CLI::App& program, BenchCommandOptions& options);

/// Measures, and prints a table or writes JSON.
/// @throws Error see flux2::bench; bad_file: the report cannot be written
void run_bench(const BenchCommandOptions& options);

}  // namespace flux2::cli
