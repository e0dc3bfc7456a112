#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "flux2/pipeline.h"
#include "progress.h"

namespace flux2::cli {

/// --compute, --device, --threads, --memory and --isa: the same in every command that computes.
/// @param group  headline in the help; empty: the general one
void add_machine_options(CLI::App& app, PipelineOptions& options, const std::string& group);

/// --progress
void add_progress_option(CLI::App& app, ProgressStyle& style, const std::string& group);

}  // namespace flux2::cli
