#include "tokenizers/utf8.h"

#include <cstdint>

namespace flux2 {
namespace {

struct ByteRange {
  unsigned char low;
  unsigned char high;
};

/// What a lead byte asks for: the sequence's length (0: no lead byte) and the range of its second
/// byte. Later bytes are always 80..BF.
struct Lead {
  std::size_t length;
  ByteRange second;
};

Lead lead_of(unsigned char byte) {
  if (byte < 0x80) return {1, {0, 0}};
  if (byte < 0xC2) return {0, {0, 0}};
  if (byte < 0xE0) return {2, {0x80, 0xBF}};
  if (byte == 0xE0) return {3, {0xA0, 0xBF}};
  if (byte == 0xED) return {3, {0x80, 0x9F}};
  if (byte < 0xF0) return {3, {0x80, 0xBF}};
  if (byte == 0xF0) return {4, {0x90, 0xBF}};
  if (byte < 0xF4) return {4, {0x80, 0xBF}};
  if (byte == 0xF4) return {4, {0x80, 0x8F}};
  return {0, {0, 0}};
}

/// The sequence at `position`: how many of its bytes are right, and whether it is whole.
struct Sequence {
  std::size_t length;
  bool whole;
};

Sequence sequence_at(std::string_view text, std::size_t position) {
  const Lead lead = lead_of(static_cast<unsigned char>(text[position]));
  if (lead.length == 0) return {1, false};
  ByteRange allowed = lead.second;
  for (std::size_t i = 1; i < lead.length; ++i) {
    if (position + i >= text.size()) return {i, false};
    const auto byte = static_cast<unsigned char>(text[position + i]);
    if (byte < allowed.low || byte > allowed.high) return {i, false};
    allowed = {0x80, 0xBF};
  }
  return {lead.length, true};
}

}  // namespace

std::optional<std::size_t> first_invalid_utf8(std::string_view text) {
  for (std::size_t position = 0; position < text.size();) {
    const Sequence sequence = sequence_at(text, position);
    if (!sequence.whole) return position;
    position += sequence.length;
  }
  return std::nullopt;
}

char32_t next_code_point(std::string_view text, std::size_t& position) {
  const auto lead = static_cast<unsigned char>(text[position]);
  const std::size_t length = lead_of(lead).length;
  if (length <= 1) {
    ++position;
    return lead;
  }
  auto code_point = static_cast<std::uint32_t>(lead) & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    code_point = (code_point << 6) | (static_cast<unsigned char>(text[position + i]) & 0x3FU);
  }
  position += length;
  return static_cast<char32_t>(code_point);
}

char32_t last_code_point(std::string_view text) {
  std::size_t start = text.size() - 1;
  while (start > 0 && (static_cast<unsigned char>(text[start]) & 0xC0U) == 0x80)
    --start;
  return next_code_point(text, start);
}

void append_code_point(std::string& text, char32_t code_point) {
  const auto value = static_cast<std::uint32_t>(code_point);
  const auto put = [&text](std::uint32_t byte) { text.push_back(static_cast<char>(byte)); };
  const auto put_tail = [&](unsigned shift) { put(0x80U | ((value >> shift) & 0x3FU)); };
  if (value < 0x80) {
    put(value);
  } else if (value < 0x800) {
    put(0xC0U | (value >> 6));
    put_tail(0);
  } else if (value < 0x10000) {
    put(0xE0U | (value >> 12));
    put_tail(6);
    put_tail(0);
  } else {
    put(0xF0U | (value >> 18));
    put_tail(12);
    put_tail(6);
    put_tail(0);
  }
}

std::string replace_invalid_utf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  for (std::size_t position = 0; position < bytes.size();) {
    const Sequence sequence = sequence_at(bytes, position);
    if (sequence.whole) {
      text.append(bytes.substr(position, sequence.length));
    } else {
      append_code_point(text, 0xFFFD);
    }
    position += sequence.length;
  }
  return text;
}

}  // namespace flux2
