#include "progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

namespace flux2::cli {
namespace {

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
  return bar_line(to_string(progress.stage), progress.done, progress.total, counted(progress),
                  columns);
}

ProgressDisplay::ProgressDisplay(ProgressStyle style) : form_(form_of(style)) {}

void ProgressDisplay::show(const Progress& progress) {
  if (form_ == ProgressForm::bar) draw_bar(progress);
  if (form_ == ProgressForm::lines) print_line(progress);
  stage_ = progress.stage;
  done_ = progress.done;
}

void ProgressDisplay::draw_bar(const Progress& progress) {
  const bool news = stage_ != progress.stage || progress.done == progress.total;
  if (news || line_.is_due()) line_.draw(progress_bar(progress, TerminalLine::columns()));
}

void ProgressDisplay::print_line(const Progress& progress) {
  const bool begins = stage_ != progress.stage;
  const bool steps = counts_steps(progress.stage) && progress.done != done_;
  if (begins || steps) fmt::print(stderr, "{}\n", progress_line(progress));
}

}  // namespace flux2::cli
