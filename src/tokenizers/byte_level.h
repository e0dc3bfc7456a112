#pragma once

#include <string>
#include <string_view>

namespace flux2 {

/// GPT-2's printable spelling of arbitrary bytes, in which tokenizer.json and vocab.json write
/// their tokens: 33..126, 161..172 and 174..255 stand for themselves, the other 68 bytes become
/// U+0100, U+0101, ... in increasing order (a space is U+0120, a line feed U+010A).
std::string spell_bytes(std::string_view bytes);

/// The way back. A token with any character that is not in the table is its own UTF-8 bytes, as in
/// Hugging Face's ByteLevel decoder.
/// @param spelling  well-formed UTF-8
std::string unspell_bytes(std::string_view spelling);

}  // namespace flux2
