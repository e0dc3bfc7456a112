#include "part_progress.h"

#include <fmt/format.h>

#include <cstdio>

namespace flux2::cli {

void PartProgress::show(const std::string& part, std::int64_t done, std::int64_t total) {
  constexpr std::int64_t kTenth = 10;
  const std::int64_t percent = total == 0 ? 100 : 100 * done / total;
  if (form_ == ProgressForm::bar && (line_.is_due() || done == total)) {
    line_.draw(bar_line(part, done, total, "", TerminalLine::columns()));
  }
  if (form_ != ProgressForm::lines || (part == part_ && percent < next_)) return;
  part_ = part;
  next_ = percent / kTenth * kTenth + kTenth;
  fmt::print(stderr, "{} {}%\n", part_, percent);
}

}  // namespace flux2::cli
