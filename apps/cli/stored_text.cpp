#include "stored_text.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace flux2::cli {

std::string describe_types(const ModelPart& part) {
  std::string text;
  for (std::size_t i = 0; i < part.dtypes.size(); ++i)
    text += (i == 0 ? "" : ", ") + part.dtypes[i] + " as " + part.computed_as[i];
  return text;
}

bool is_quantised(const ModelPart& part) {
  constexpr std::array<std::string_view, 4> kPlain = {"F32", "BF16", "F16", "F64"};
  for (std::size_t i = 0; i < part.dtypes.size(); ++i) {
    const bool plain = std::find(kPlain.begin(), kPlain.end(), part.dtypes[i]) != kPlain.end();
    if (!plain && part.computed_as[i] != "not used") return true;
  }
  return false;
}

}  // namespace flux2::cli
