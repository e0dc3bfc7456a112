#include "checkpoint/in_quotes.h"

#include <cstddef>

namespace flux2 {

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kLongest = 120;
  std::string line = "\"";
  for (const char letter : text.substr(0, kLongest)) {
    const auto code = static_cast<unsigned char>(letter);
    line += code < 0x20 || code == 0x7F ? '?' : letter;
  }
  line += text.size() > kLongest ? "...\"" : "\"";
  return line;
}

}  // namespace flux2
