#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tensor/dtype.h"

namespace flux2 {

/// One of ggml's tensor types: blocks of `elements` numbers in `bytes` bytes.
struct GgufType {
  std::uint32_t id;       ///< as written in a file
  std::string_view name;  ///< "Q4_K"
  std::int64_t elements;  ///< of a block
  std::int64_t bytes;     ///< of a block
  /// Writes blocks x elements floats; nullptr where `plain` elements are all there is to it.
  void (*decode)(const std::byte* stored, std::int64_t blocks, float* numbers);
  std::int64_t scale_at = 0;  ///< where a block has its scale, a half
  DType plain = DType::u8;    ///< of the elements, without `decode`
};

/// nullptr if no type of that number can be read.
const GgufType* find_gguf_type(std::uint32_t id);
/// What ggml calls a type that is not read here: "IQ2_XXS"; empty for a number it does not know.
std::string_view name_of_unread_gguf_type(std::uint32_t id);

}  // namespace flux2
