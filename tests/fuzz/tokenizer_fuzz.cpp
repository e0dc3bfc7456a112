// Any bytes as a tokenizer.json or tekken.json, then a short text: an Error at worst.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "flux2/error.h"
#include "tokenizers/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    const auto tokenizer = flux2::Tokenizer::from_json(bytes, "fuzz.json");
    const auto ids = tokenizer.encode("<s>It's 2 caf\u00e9s  \u4e00\n\n a\u0301 <x>",
                                      flux2::SpecialTokens::take_in);
    tokenizer.decode(ids, flux2::SpecialTokens::keep_out);
  } catch (const flux2::Error&) {
    // The expected end of a damaged file.
  }
  return 0;
}
