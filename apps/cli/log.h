#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace flux2::cli {

/// How much is said on standard error.
enum class Verbosity {
  quiet,    ///< errors
  normal,   ///< warnings, drawn seeds, written files
  verbose,  ///< the backend, seconds of each stage, memory
};

/// Prepares spdlog's default logger: lines "flux2: ..." on standard error. Call once, first.
void start_log();

/// Says from now on as much as `verbosity` asks for.
void set_verbosity(Verbosity verbosity);

/// Adds -q and -v, which exclude each other.
void add_verbosity(CLI::App& app, Verbosity& verbosity, const std::string& group);

/// `text` with every control character replaced by a space: one line, whatever a file is called.
std::string one_line(std::string text);

}  // namespace flux2::cli
