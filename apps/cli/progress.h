#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

#include "flux2/pipeline.h"

namespace flux2::cli {

/// How progress looks on standard error.
enum class ProgressStyle {
  automatic,  ///< a bar on a terminal, plain lines elsewhere
  plain,      ///< a line a stage and a line a step
  none,
};

/// "denoise 3/4, 1.23 s/step, 1.2 s left"; without numbers that are not known yet.
std::string progress_line(const Progress& progress);

/// "denoise [######..] 3/4, ...", at most `columns` wide.
std::string progress_bar(const Progress& progress, std::size_t columns);

/// Shows on standard error how far a call is. What it leaves there is whole lines.
class ProgressDisplay {
 public:
  explicit ProgressDisplay(ProgressStyle style);
  ~ProgressDisplay();
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;

  void show(const Progress& progress);

 private:
  enum class Form { bar, lines, nothing };

  void draw_bar(const Progress& progress);
  void print_line(const Progress& progress);

  Form form_;
  std::optional<Stage> stage_;
  std::int64_t done_ = 0;
  std::chrono::steady_clock::time_point drawn_{};
};

}  // namespace flux2::cli
