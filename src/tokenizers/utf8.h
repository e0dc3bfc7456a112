#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace flux2 {

/// Offset of the first byte that is not part of well-formed UTF-8 (Unicode 15, table 3-7: no
/// overlong forms, no surrogates, nothing above U+10FFFF); nullopt where all of it is.
std::optional<std::size_t> first_invalid_utf8(std::string_view text);

/// The code point that starts at `position` of well-formed UTF-8; moves `position` behind it.
char32_t next_code_point(std::string_view text, std::size_t& position);

/// The code point that ends at the end of the well-formed and non-empty `text`.
char32_t last_code_point(std::string_view text);

void append_code_point(std::string& text, char32_t code_point);

/// Each maximal ill-formed part becomes one U+FFFD (Unicode 15, section 3.9, the practice of the
/// WHATWG and of Rust's from_utf8_lossy, which Hugging Face decodes with).
std::string replace_invalid_utf8(std::string_view bytes);

}  // namespace flux2
