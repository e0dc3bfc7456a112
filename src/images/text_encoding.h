#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace flux2 {

bool is_utf8(std::string_view text);

/// UTF-8 to ISO 8859-1; nothing if a character has no place there or `text` is not UTF-8.
std::optional<std::string> latin1_from_utf8(std::string_view text);

std::string utf8_from_latin1(std::string_view text);

/// @param text  valid UTF-8
std::u16string utf16_from_utf8(std::string_view text);

/// Unpaired surrogates become U+FFFD.
std::string utf8_from_utf16(std::u16string_view text);

}  // namespace flux2
