#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "flux2/pipeline.h"
#include "terminal_bar.h"

namespace flux2::cli {

/// "denoise 3/4, 1.23 s/step, 1.2 s left"; without numbers that are not known yet.
std::string progress_line(const Progress& progress);

/// "denoise [######..] 3/4, ...", at most `columns` wide.
std::string progress_bar(const Progress& progress, std::size_t columns);

/// Shows on standard error how far a call is. What it leaves there is whole lines.
class ProgressDisplay {
 public:
  explicit ProgressDisplay(ProgressStyle style);

  void show(const Progress& progress);

 private:
  void draw_bar(const Progress& progress);
  void print_line(const Progress& progress);

  ProgressForm form_;
  TerminalLine line_;
  std::optional<Stage> stage_;
  std::int64_t done_ = 0;
};

}  // namespace flux2::cli
