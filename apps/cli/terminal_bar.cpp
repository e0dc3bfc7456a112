#include "terminal_bar.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>

namespace flux2::cli {
namespace {

constexpr std::size_t kBarCells = 24;
constexpr std::size_t kUsualColumns = 80;
constexpr auto kRedrawInterval = std::chrono::milliseconds(50);
constexpr const char* kClearLine = "\r\x1b[K";

bool on_terminal() {
  const char* terminal = std::getenv("TERM");
  return isatty(STDERR_FILENO) == 1 && terminal != nullptr && std::strcmp(terminal, "dumb") != 0;
}

}  // namespace

ProgressForm form_of(ProgressStyle style) {
  if (style == ProgressStyle::none) return ProgressForm::nothing;
  return style == ProgressStyle::automatic && on_terminal() ? ProgressForm::bar
                                                            : ProgressForm::lines;
}

std::string bar_line(const std::string& label, std::int64_t done, std::int64_t total,
                     const std::string& counts, std::size_t columns) {
  std::string text = label;
  if (total > 0) {
    const double part =
        static_cast<double>(std::clamp<std::int64_t>(done, 0, total)) / static_cast<double>(total);
    const auto filled = static_cast<std::size_t>(part * static_cast<double>(kBarCells));
    text += fmt::format(" [{}{}] {}", std::string(filled, '#'),
                        std::string(kBarCells - filled, '.'), counts);
  }
  if (text.size() > columns) text.resize(columns);
  return text;
}

std::string duration(double seconds) {
  if (seconds < 100) return fmt::format("{:.{}f} s", seconds, seconds < 10 ? 2 : 1);
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  const std::int64_t hours = whole / 3600;
  const std::int64_t minutes = whole / 60 % 60;
  if (hours == 0) return fmt::format("{}:{:02}", minutes, whole % 60);
  return fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60);
}

std::string with_prefix(std::int64_t count, const char* unit) {
  constexpr double kThousand = 1000;
  constexpr const char* kPrefixes[] = {"", "k", "M", "G", "T"};
  auto value = static_cast<double>(count);
  std::size_t prefix = 0;
  while (value >= kThousand && prefix + 1 < std::size(kPrefixes)) {
    value /= kThousand;
    ++prefix;
  }
  return fmt::format("{:.{}f} {}{}", value, prefix == 0 ? 0 : 1, kPrefixes[prefix], unit);
}

TerminalLine::~TerminalLine() {
  if (drawn_) std::fputs(kClearLine, stderr);
}

bool TerminalLine::is_due() const {
  return std::chrono::steady_clock::now() - when_ >= kRedrawInterval;
}

void TerminalLine::draw(const std::string& text) {
  when_ = std::chrono::steady_clock::now();
  drawn_ = true;
  fmt::print(stderr, "{}{}", kClearLine, text);
  std::fflush(stderr);
}

std::size_t TerminalLine::columns() {
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return (known ? size.ws_col : kUsualColumns) - 1;
}

}  // namespace flux2::cli
