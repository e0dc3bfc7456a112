#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "flux2/error.h"
#include "flux2/run.h"

namespace flux2 {

/// Tells the caller how far a call is, times its stages, and ends it when the caller asks.
class Monitor {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Monitor(const RunOptions& options) : options_(options) {}

  /// What the caller asked for.
  const RunOptions& options() const { return options_; }

  /// Begins a stage of `total` units (0: unknown), ending the one before.
  void begin(Stage stage, std::int64_t total = 0);
  /// `done` units of the stage are done.
  /// @throws Error cancelled
  void advance(std::int64_t done);
  /// The same where the total becomes known on the way.
  void advance(std::int64_t done, std::int64_t total);
  /// Ends the last stage.
  void end();
  /// @throws Error cancelled if the caller asked to stop
  void check_stop() const;

  /// Something that the caller should know about the result.
  void warn(std::string warning) { warnings_.push_back(std::move(warning)); }

  const std::vector<StageTime>& times() const { return times_; }
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  const RunOptions& options_;
  Progress progress_;
  Clock::time_point begun_{};
  bool running_ = false;
  std::vector<StageTime> times_;
  std::vector<std::string> warnings_;
};

/// Seconds since `begin`.
double seconds_since(Monitor::Clock::time_point begin);

}  // namespace flux2
