#pragma once

#include <cstdint>
#include <string>

#include "terminal_bar.h"

namespace flux2::cli {

/// Shows how far work on the parts of a model is: a bar on a terminal, elsewhere a line whenever
/// another tenth of a part is done. What it leaves on standard error is whole lines.
class PartProgress {
 public:
  explicit PartProgress(ProgressStyle style) : form_(form_of(style)) {}

  /// @param done   bytes of `part`
  /// @param total  bytes of it in all
  void show(const std::string& part, std::int64_t done, std::int64_t total);

 private:
  ProgressForm form_;
  TerminalLine line_;
  std::string part_;
  std::int64_t next_ = 0;  // percent
};

}  // namespace flux2::cli
