#include "tokenizers/normalizer.h"

#include <fmt/format.h>
#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "flux2/error.h"

namespace flux2 {
namespace {

void check(UErrorCode status, std::string_view doing) {
  if (U_FAILURE(status)) {
    throw Error(ErrorCode::internal, fmt::format("ICU failed {}: {}", doing, u_errorName(status)));
  }
}

const icu::Normalizer2& instance_of(NormalForm form) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* instance = nullptr;
  switch (form) {
    case NormalForm::nfc:
      instance = icu::Normalizer2::getNFCInstance(status);
      break;
    case NormalForm::nfd:
      instance = icu::Normalizer2::getNFDInstance(status);
      break;
    case NormalForm::nfkc:
      instance = icu::Normalizer2::getNFKCInstance(status);
      break;
    case NormalForm::nfkd:
      instance = icu::Normalizer2::getNFKDInstance(status);
      break;
  }
  check(status, "to load its normalisation data");
  return *instance;
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char byte) { return static_cast<unsigned char>(byte) < 0x80; });
}

}  // namespace

std::string Normalizer::normalize(std::string_view text) const {
  std::string current(text);
  if (is_ascii(text)) return current;  // every normal form leaves ASCII alone
  for (const NormalForm form : forms_) {
    std::string next;
    icu::StringByteSink<std::string> sink(&next, static_cast<std::int32_t>(current.size()));
    UErrorCode status = U_ZERO_ERROR;
    const icu::StringPiece piece(current.data(), static_cast<std::int32_t>(current.size()));
    instance_of(form).normalizeUTF8(0, piece, sink, nullptr, status);
    check(status, "to normalise a text");
    current = std::move(next);
  }
  return current;
}

}  // namespace flux2
