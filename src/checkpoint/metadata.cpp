#include "checkpoint/metadata.h"

namespace flux2 {

std::optional<double> Metadata::number(std::string_view key) const {
  if (const auto whole = integer(key)) return static_cast<double>(*whole);
  return copy<double>(key);
}

}  // namespace flux2
