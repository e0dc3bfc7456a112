#include "progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

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

std::size_t terminal_columns() {
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : kUsualColumns;
}

// 4.56 s, 78 s, 3:25, 1:02:03
std::string duration(double seconds) {
  if (seconds < 100) return fmt::format("{:.{}f} s", seconds, seconds < 10 ? 2 : 1);
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  const std::int64_t hours = whole / 3600;
  const std::int64_t minutes = whole / 60 % 60;
  if (hours == 0) return fmt::format("{}:{:02}", minutes, whole % 60);
  return fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60);
}

bool counts_steps(Stage stage) {
  return stage == Stage::denoise;
}

// How many words a text will have is not known: only how many there are.
std::string counted_tokens(const Progress& p) {
  const double rate = p.seconds > 0 ? static_cast<double>(p.done) / p.seconds : 0;
  return fmt::format("{} tokens, {:.1f}/s", p.done, rate);
}

// Loading counts tensors, which nobody wants to read: a percentage will do.
std::string counted(const Progress& p) {
  if (p.total <= 0) return {};
  if (p.stage == Stage::upsample) return counted_tokens(p);
  if (counts_steps(p.stage)) {
    std::string text = fmt::format("{}/{}", p.done, p.total);
    if (p.done == 0) return text;
    const double each = p.seconds / static_cast<double>(p.done);
    text += fmt::format(", {}/step", duration(each));
    if (p.done < p.total) {
      text += fmt::format(", {} left", duration(each * static_cast<double>(p.total - p.done)));
    }
    return text;
  }
  return fmt::format("{}%", 100 * std::min(p.done, p.total) / p.total);
}

}  // namespace

std::string progress_line(const Progress& progress) {
  const std::string counts = counts_steps(progress.stage) ? counted(progress) : "";
  return to_string(progress.stage) + (counts.empty() ? "" : " ") + counts;
}

std::string progress_bar(const Progress& progress, std::size_t columns) {
  std::string text = to_string(progress.stage);
  if (progress.total > 0) {
    const double part =
        static_cast<double>(std::clamp<std::int64_t>(progress.done, 0, progress.total)) /
        static_cast<double>(progress.total);
    const auto filled = static_cast<std::size_t>(part * static_cast<double>(kBarCells));
    text += fmt::format(" [{}{}] {}", std::string(filled, '#'),
                        std::string(kBarCells - filled, '.'), counted(progress));
  }
  if (text.size() > columns) text.resize(columns);
  return text;
}

ProgressDisplay::ProgressDisplay(ProgressStyle style)
    : form_(style == ProgressStyle::none                         ? Form::nothing
            : style == ProgressStyle::automatic && on_terminal() ? Form::bar
                                                                 : Form::lines) {}

ProgressDisplay::~ProgressDisplay() {
  if (form_ == Form::bar && stage_) std::fputs(kClearLine, stderr);
}

void ProgressDisplay::show(const Progress& progress) {
  if (form_ == Form::bar) draw_bar(progress);
  if (form_ == Form::lines) print_line(progress);
  stage_ = progress.stage;
  done_ = progress.done;
}

void ProgressDisplay::draw_bar(const Progress& progress) {
  const auto now = std::chrono::steady_clock::now();
  const bool news = stage_ != progress.stage || progress.done == progress.total;
  if (!news && now - drawn_ < kRedrawInterval) return;
  drawn_ = now;
  const std::string bar = progress_bar(progress, terminal_columns() - 1);
  fmt::print(stderr, "{}{}", kClearLine, bar);
  std::fflush(stderr);
}

void ProgressDisplay::print_line(const Progress& progress) {
  const bool begins = stage_ != progress.stage;
  const bool steps = counts_steps(progress.stage) && progress.done != done_;
  if (begins || steps) fmt::print(stderr, "{}\n", progress_line(progress));
}

}  // namespace flux2::cli
