#include "checkpoint/encodings/number_encoder.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <iterator>

#include "checkpoint/encodings/k_block_encoders.h"

// The blocks of 32 are those of the gguf package's quantize(), bit for bit; layouts as in
// gguf_blocks.cpp.
namespace flux2 {
namespace {

constexpr std::int64_t kBlock = 32;

void store_half(float value, std::uint8_t* stored) {
  const std::uint16_t bits = float_to_half(value);
  std::memcpy(stored, &bits, sizeof(bits));
}

// d = max |w| / 127, q = round(w / d), halves away from zero
struct Q80 {
  static constexpr std::int64_t kBytes = 34;
  static void encode(const float* numbers, std::uint8_t* block) {
    float most = 0;
    for (std::int64_t i = 0; i < kBlock; ++i)
      most = std::max(most, std::abs(numbers[i]));
    const float d = most / 127;
    const float inverse = d == 0 ? 0 : 1 / d;
    store_half(d, block);
    for (std::int64_t i = 0; i < kBlock; ++i)
      block[2 + i] = static_cast<std::uint8_t>(static_cast<int>(std::round(numbers[i] * inverse)));
  }
};

// d = m / -8 with m the number of largest magnitude, q = floor(w / d + 8.5), at most 15
struct Q40 {
  static constexpr std::int64_t kBytes = 18;
  static void encode(const float* numbers, std::uint8_t* block) {
    constexpr std::int64_t kHalf = kBlock / 2;
    const float most = *std::max_element(
        numbers, numbers + kBlock, [](float a, float b) { return std::abs(a) < std::abs(b); });
    const float d = most / -8;
    const float inverse = d == 0 ? 0 : 1 / d;
    const auto code = [&](std::int64_t i) {
      return std::min(15, static_cast<int>(numbers[i] * inverse + 8.5f));
    };
    store_half(d, block);
    for (std::int64_t i = 0; i < kHalf; ++i)
      block[2 + i] = static_cast<std::uint8_t>(code(i) | (code(i + kHalf) << 4));
  }
};

template <typename Format, std::int64_t kElements>
void encode_blocks(const float* numbers, std::int64_t blocks, std::byte* stored) {
  auto* block = reinterpret_cast<std::uint8_t*>(stored);
  for (std::int64_t i = 0; i < blocks; ++i)
    Format::encode(numbers + i * kElements, block + i * Format::kBytes);
}

template <DType kType>
void encode_elements(const float* numbers, std::int64_t count, std::byte* stored) {
  convert_from_float(numbers, kType, stored, static_cast<std::size_t>(count));
}

template <typename Format>
constexpr NumberEncoder blocks_of_32(std::uint32_t id, std::string_view name) {
  return {id, name, kBlock, Format::kBytes, encode_blocks<Format, kBlock>};
}

template <typename Format>
constexpr NumberEncoder blocks_of_256(std::uint32_t id, std::string_view name) {
  return {id, name, kSuperBlock, Format::kBytes, encode_blocks<Format, kSuperBlock>};
}

constexpr NumberEncoder kEncoders[] = {
    {0, "F32", 1, 4, encode_elements<DType::f32>, DType::f32},
    {1, "F16", 1, 2, encode_elements<DType::f16>, DType::f16},
    {30, "BF16", 1, 2, encode_elements<DType::bf16>, DType::bf16},
    blocks_of_32<Q80>(8, "Q8_0"),
    blocks_of_256<Q6KEncoder>(14, "Q6_K"),
    blocks_of_256<Q5KEncoder>(13, "Q5_K"),
    blocks_of_256<Q4KEncoder>(12, "Q4_K"),
    blocks_of_32<Q40>(2, "Q4_0"),
};

}  // namespace

const NumberEncoder* find_encoder(std::string_view name) {
  const auto* found = std::find_if(std::begin(kEncoders), std::end(kEncoders),
                                   [&](const auto& encoder) { return encoder.name == name; });
  return found == std::end(kEncoders) ? nullptr : found;
}

std::int64_t encoded_bytes(const NumberEncoder& encoder, std::int64_t numbers) {
  assert(numbers % encoder.elements == 0);
  return numbers / encoder.elements * encoder.bytes;
}

}  // namespace flux2
