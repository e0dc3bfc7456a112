#pragma once

#include <CLI/CLI.hpp>

namespace flux2::cli {

/// What `flux2 cache` was told.
struct CacheCommand {
  bool clear = false;
  bool json = false;
};

/// Adds the subcommand `cache`, which parses into `options`.
CLI::App* add_cache(CLI::App& program, CacheCommand& options);

/// Prints where prompt embeddings are kept and how much they take, or removes them.
/// @throws Error bad_file: the folder cannot be read
void run_cache(const CacheCommand& options);

}  // namespace flux2::cli
