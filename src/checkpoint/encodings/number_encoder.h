#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tensor/dtype.h"

namespace flux2 {

/// How numbers are written down: the way back of a GgufType. Elements of a type are blocks of one.
struct NumberEncoder {
  std::uint32_t id;       ///< GGML_TYPE_*
  std::string_view name;  ///< "Q4_K", "BF16"
  std::int64_t elements;  ///< of a block
  std::int64_t bytes;     ///< of a block
  /// Writes blocks x elements finite floats; safe for several threads.
  void (*encode)(const float* numbers, std::int64_t blocks, std::byte* stored);
  DType plain = DType::u8;  ///< of the elements, where a block is one

  bool is_plain() const { return elements == 1; }
};

/// F32, F16, BF16, Q8_0, Q6_K, Q5_K, Q4_K, Q4_0; nullptr for any other name.
const NumberEncoder* find_encoder(std::string_view name);

/// Stored bytes of so many numbers, which are whole blocks.
std::int64_t encoded_bytes(const NumberEncoder& encoder, std::int64_t numbers);

}  // namespace flux2
