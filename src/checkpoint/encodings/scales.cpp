#include "checkpoint/encodings/scales.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "checkpoint/in_quotes.h"
#include "flux2/error.h"

namespace flux2 {

void refuse_companion(const StoredTensor& companion, std::string_view what, std::string_view hint) {
  throw Error(ErrorCode::bad_file, fmt::format("tensor {} {}", in_quotes(companion.name), what),
              companion.file, std::string(hint));
}

std::vector<float> read_scales(const StoredTensor& scales, ZeroScale zero) {
  const bool known =
      scales.dtype == DType::f32 || scales.dtype == DType::f16 || scales.dtype == DType::bf16;
  if (!known) {
    refuse_companion(scales, fmt::format("holds scales as {}; known are F32, F16 and BF16",
                                         name_of(scales.dtype)));
  }
  std::vector<float> values(static_cast<std::size_t>(scales.shape.elements()));
  convert_to_float(scales.dtype, scales.bytes.data(), values.data(), values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const char* wrong = nullptr;
    if (!std::isfinite(values[i])) wrong = "is not a finite number";
    if (values[i] < 0) wrong = "is negative";
    if (values[i] == 0 && zero == ZeroScale::refused) wrong = "is zero";
    if (wrong != nullptr) refuse_companion(scales, fmt::format("scale {} {}", i, wrong));
  }
  return values;
}

std::optional<ScaleRange> range_of(std::span<const float> scales) {
  if (scales.empty()) return std::nullopt;
  const auto [least, most] = std::minmax_element(scales.begin(), scales.end());
  return ScaleRange{*least, *most, static_cast<std::int64_t>(scales.size())};
}

}  // namespace flux2
