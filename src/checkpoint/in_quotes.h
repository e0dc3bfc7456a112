#pragma once

#include <string>
#include <string_view>

namespace flux2 {

/// `text` from a file, fit for one line of an error: in quotes, control characters as "?", cut
/// after 120 bytes.
std::string in_quotes(std::string_view text);

}  // namespace flux2
