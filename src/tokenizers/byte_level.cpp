#include "tokenizers/byte_level.h"

#include <array>
#include <cstddef>
#include <cstdint>

#include "tokenizers/utf8.h"

namespace flux2 {
namespace {

constexpr bool stands_for_itself(unsigned byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

constexpr unsigned kFirstShifted = 0x100;
constexpr unsigned kSpellingEnd = kFirstShifted + 68;

struct Tables {
  std::array<std::uint16_t, 256> character_of_byte{};
  std::array<std::int16_t, kSpellingEnd> byte_of_character{};
};

constexpr Tables make_tables() {
  Tables tables;
  for (auto& byte : tables.byte_of_character)
    byte = -1;
  unsigned shifted = kFirstShifted;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const unsigned character = stands_for_itself(byte) ? byte : shifted++;
    tables.character_of_byte[byte] = static_cast<std::uint16_t>(character);
    tables.byte_of_character[character] = static_cast<std::int16_t>(byte);
  }
  return tables;
}

constexpr Tables kTables = make_tables();

}  // namespace

std::string spell_bytes(std::string_view bytes) {
  std::string spelling;
  spelling.reserve(2 * bytes.size());
  for (const char byte : bytes) {
    append_code_point(spelling, kTables.character_of_byte[static_cast<unsigned char>(byte)]);
  }
  return spelling;
}

std::string unspell_bytes(std::string_view spelling) {
  std::string bytes;
  for (std::size_t position = 0; position < spelling.size();) {
    const char32_t character = next_code_point(spelling, position);
    const int byte = character < kSpellingEnd ? kTables.byte_of_character[character] : -1;
    if (byte < 0) return std::string(spelling);
    bytes.push_back(static_cast<char>(byte));
  }
  return bytes;
}

}  // namespace flux2
