#pragma once

#include <CLI/CLI.hpp>

#include "generate_options.h"

namespace flux2::cli {

/// Adds the subcommand `plan`, which takes what `generate` takes and parses into `options`; the
/// prompt may be left out.
CLI::App* add_plan(CLI::App& program, GenerateOptions& options);

}  // namespace flux2::cli
