#include "flux2/error.h"

#include <utility>

namespace flux2 {
namespace {

// Names of files and tensors may hold anything; an error is one line that no terminal obeys.
std::string escaped(const std::string& text) {
  constexpr const char* kHex = "0123456789abcdef";
  std::string line;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7F) {
      line += c;
    } else {
      line += {'\\', 'x', kHex[byte >> 4U], kHex[byte & 0xFU]};
    }
  }
  return line;
}

}  // namespace

Error::Error(ErrorCode code, std::string message, std::string where, std::string hint)
    : code_(code), message_(std::move(message)), where_(std::move(where)), hint_(std::move(hint)) {
  line_ = where_.empty() ? message_ : where_ + ": " + message_;
  if (!hint_.empty()) line_ += " (" + hint_ + ")";
  line_ = escaped(line_);
}

}  // namespace flux2
