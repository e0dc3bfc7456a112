#include "images/text_encoding.h"

#include <unicode/unistr.h>
#include <unicode/ustring.h>

#include <limits>

namespace flux2 {
namespace {

icu::UnicodeString unicode(std::string_view utf8) {
  return icu::UnicodeString::fromUTF8(
      icu::StringPiece(utf8.data(), static_cast<std::int32_t>(utf8.size())));
}

}  // namespace

bool is_utf8(std::string_view text) {
  if (text.size() > std::numeric_limits<std::int32_t>::max() / 4) return false;
  UErrorCode status = U_ZERO_ERROR;
  std::int32_t length = 0;
  u_strFromUTF8(nullptr, 0, &length, text.data(), static_cast<std::int32_t>(text.size()), &status);
  // Asked only for the length: "buffer overflow" is the good answer.
  return U_SUCCESS(status) || status == U_BUFFER_OVERFLOW_ERROR;
}

std::optional<std::string> latin1_from_utf8(std::string_view text) {
  if (!is_utf8(text)) return std::nullopt;
  std::string result;
  result.reserve(text.size());
  for (const char16_t unit : utf16_from_utf8(text)) {
    if (unit > 0xFF) return std::nullopt;
    result.push_back(static_cast<char>(unit));
  }
  return result;
}

std::string utf8_from_latin1(std::string_view text) {
  std::u16string wide;
  wide.reserve(text.size());
  for (const char c : text)
    wide.push_back(static_cast<unsigned char>(c));
  return utf8_from_utf16(wide);
}

std::u16string utf16_from_utf8(std::string_view text) {
  const icu::UnicodeString wide = unicode(text);
  return {wide.getBuffer(), static_cast<std::size_t>(wide.length())};
}

std::string utf8_from_utf16(std::u16string_view text) {
  std::string result;
  icu::UnicodeString(text.data(), static_cast<std::int32_t>(text.size())).toUTF8String(result);
  return result;
}

}  // namespace flux2
