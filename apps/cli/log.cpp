#include "log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>

namespace flux2::cli {

void start_log() {
  spdlog::set_default_logger(spdlog::stderr_logger_st("flux2"));
  spdlog::set_pattern("flux2: %v");
}

void set_verbosity(Verbosity verbosity) {
  switch (verbosity) {
    case Verbosity::quiet:
      return spdlog::set_level(spdlog::level::err);
    case Verbosity::normal:
      return spdlog::set_level(spdlog::level::info);
    case Verbosity::verbose:
      return spdlog::set_level(spdlog::level::debug);
  }
}

void add_verbosity(CLI::App& app, Verbosity& verbosity, const std::string& group) {
  const auto sets = [&verbosity](Verbosity value) {
    return [&verbosity, value](std::int64_t) { verbosity = value; };
  };
  CLI::Option* quiet =
      app.add_flag_function("-q,--quiet", sets(Verbosity::quiet), "say nothing but errors")
          ->group(group);
  app.add_flag_function("-v,--verbose", sets(Verbosity::verbose),
                        "also the backend, seconds of each stage, memory")
      ->group(group)
      ->excludes(quiet);
}

std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  return text;
}

}  // namespace flux2::cli
