#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace flux2::cli {

/// How progress looks on standard error.
enum class ProgressStyle {
  automatic,  ///< a bar on a terminal, plain lines elsewhere
  plain,      ///< lines, at a stage's beginning and as it goes on
  none,
};

/// What a style means for this process.
enum class ProgressForm { bar, lines, nothing };
ProgressForm form_of(ProgressStyle style);

/// "denoise [######..] 3/4", at most `columns` wide; no bar where `total` is 0.
std::string bar_line(const std::string& label, std::int64_t done, std::int64_t total,
                     const std::string& counts, std::size_t columns);

/// 4.56 s, 78.0 s, 3:25, 1:02:03
std::string duration(double seconds);
/// 1234567890, "B": "1.2 GB"
std::string with_prefix(std::int64_t count, const char* unit);

/// The last line of a terminal, drawn again and again; empty when it goes away.
class TerminalLine {
 public:
  TerminalLine() = default;
  ~TerminalLine();
  TerminalLine(const TerminalLine&) = delete;
  TerminalLine& operator=(const TerminalLine&) = delete;

  /// Whether enough time has passed since the last drawing.
  bool is_due() const;
  void draw(const std::string& text);
  /// Columns that a text may take.
  static std::size_t columns();

 private:
  bool drawn_ = false;
  std::chrono::steady_clock::time_point when_{};
};

}  // namespace flux2::cli
