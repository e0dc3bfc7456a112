#include "checkpoint/encodings/gguf_blocks.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>

#include "checkpoint/encodings/gguf_k_blocks.h"

// Blocks of 32. In all of them q and d are multiplied in float, then m is added: the order of the
// gguf package, whose results these are bit for bit. Layouts: ggml-common.h.
namespace flux2 {
namespace {

constexpr std::size_t kBlock = 32;
constexpr std::size_t kHalf =
    16;  // byte i holds element i in its low, element i + 16 in its high nibble

// W = d (q - 8)            d, q[16]
struct Q40 {
  static constexpr std::int64_t kBytes = 18;
  static void decode(const std::uint8_t* block, float* numbers) {
    const float d = half_at(block);
    const auto q = bytes_at<kHalf>(block + 2);
    for (std::size_t i = 0; i < kHalf; ++i) {
      numbers[i] = d * static_cast<float>((q[i] & 15) - 8);
      numbers[i + kHalf] = d * static_cast<float>((q[i] >> 4) - 8);
    }
  }
};

// W = d q + m              d, m, q[16]
struct Q41 {
  static constexpr std::int64_t kBytes = 20;
  static void decode(const std::uint8_t* block, float* numbers) {
    const float d = half_at(block);
    const float m = half_at(block + 2);
    const auto q = bytes_at<kHalf>(block + 4);
    for (std::size_t i = 0; i < kHalf; ++i) {
      numbers[i] = d * static_cast<float>(q[i] & 15) + m;
      numbers[i + kHalf] = d * static_cast<float>(q[i] >> 4) + m;
    }
  }
};

constexpr std::array<std::uint32_t, kBlock> kBit = [] {
  std::array<std::uint32_t, kBlock> bits{};
  for (std::size_t i = 0; i < kBlock; ++i)
    bits[i] = std::uint32_t{1} << i;
  return bits;
}();

// The fifth bits of a block of 32: element i has bit i of a word.
struct FifthBits {
  std::uint32_t word;

  explicit FifthBits(const std::uint8_t* stored) { std::memcpy(&word, stored, sizeof(word)); }
  int operator[](std::size_t i) const { return (word & kBit[i]) != 0 ? 16 : 0; }
};

// W = d (q - 16)           d, fifth bits[4], q[16]
struct Q50 {
  static constexpr std::int64_t kBytes = 22;
  static void decode(const std::uint8_t* block, float* numbers) {
    const float d = half_at(block);
    const auto q = bytes_at<kHalf>(block + 6);
    const FifthBits high(block + 2);
    for (std::size_t i = 0; i < kHalf; ++i) {
      numbers[i] = d * static_cast<float>(((q[i] & 15) | high[i]) - 16);
      numbers[i + kHalf] = d * static_cast<float>(((q[i] >> 4) | high[i + kHalf]) - 16);
    }
  }
};

// W = d q + m              d, m, fifth bits[4], q[16]
struct Q51 {
  static constexpr std::int64_t kBytes = 24;
  static void decode(const std::uint8_t* block, float* numbers) {
    const float d = half_at(block);
    const float m = half_at(block + 2);
    const auto q = bytes_at<kHalf>(block + 8);
    const FifthBits high(block + 4);
    for (std::size_t i = 0; i < kHalf; ++i) {
      numbers[i] = d * static_cast<float>((q[i] & 15) | high[i]) + m;
      numbers[i + kHalf] = d * static_cast<float>((q[i] >> 4) | high[i + kHalf]) + m;
    }
  }
};

// W = d q                  d, q[32] signed
struct Q80 {
  static constexpr std::int64_t kBytes = 34;
  static void decode(const std::uint8_t* block, float* numbers) {
    const float d = half_at(block);
    const auto q = bytes_at<kBlock>(block + 2);
    for (std::size_t i = 0; i < kBlock; ++i)
      numbers[i] = static_cast<float>(static_cast<std::int8_t>(q[i])) * d;
  }
};

// W = d table[q]           d, q[16]
struct Iq4Nl {
  static constexpr std::int64_t kBytes = 18;
  static void decode(const std::uint8_t* block, float* numbers) {
    const float d = half_at(block);
    const auto q = bytes_at<kHalf>(block + 2);
    for (std::size_t i = 0; i < kHalf; ++i) {
      numbers[i] = d * kIq4Values[q[i] & 15];
      numbers[i + kHalf] = d * kIq4Values[q[i] >> 4];
    }
  }
};

template <typename Format>
constexpr GgufType blocks_of_32(std::uint32_t id, std::string_view name) {
  return {id, name, kBlock, Format::kBytes, decode_blocks<Format, kBlock>};
}

template <typename Format>
constexpr GgufType blocks_of_256(std::uint32_t id, std::string_view name) {
  return {
      id, name, kSuperBlock, Format::kBytes, decode_blocks<Format, kSuperBlock>, Format::kScaleAt};
}

constexpr GgufType elements_of(std::uint32_t id, std::string_view name, std::int64_t bytes,
                               DType dtype) {
  return {id, name, 1, bytes, nullptr, 0, dtype};
}

// GGML_TYPE_* of ggml.h.
constexpr GgufType kTypes[] = {
    elements_of(0, "F32", 4, DType::f32),  elements_of(1, "F16", 2, DType::f16),
    blocks_of_32<Q40>(2, "Q4_0"),          blocks_of_32<Q41>(3, "Q4_1"),
    blocks_of_32<Q50>(6, "Q5_0"),          blocks_of_32<Q51>(7, "Q5_1"),
    blocks_of_32<Q80>(8, "Q8_0"),          blocks_of_256<Q2K>(10, "Q2_K"),
    blocks_of_256<Q3K>(11, "Q3_K"),        blocks_of_256<Q4K>(12, "Q4_K"),
    blocks_of_256<Q5K>(13, "Q5_K"),        blocks_of_256<Q6K>(14, "Q6_K"),
    blocks_of_32<Iq4Nl>(20, "IQ4_NL"),     blocks_of_256<Iq4Xs>(23, "IQ4_XS"),
    elements_of(24, "I8", 1, DType::i8),   elements_of(25, "I16", 2, DType::i16),
    elements_of(26, "I32", 4, DType::i32), elements_of(27, "I64", 8, DType::i64),
    elements_of(28, "F64", 8, DType::f64), elements_of(30, "BF16", 2, DType::bf16),
};

struct UnreadType {
  std::uint32_t id;
  std::string_view name;
};

constexpr UnreadType kUnread[] = {
    {4, "Q4_2"},    {5, "Q4_3"},        {9, "Q8_1"},        {15, "Q8_K"},       {16, "IQ2_XXS"},
    {17, "IQ2_XS"}, {18, "IQ3_XXS"},    {19, "IQ1_S"},      {21, "IQ3_S"},      {22, "IQ2_S"},
    {29, "IQ1_M"},  {31, "Q4_0_4_4"},   {32, "Q4_0_4_8"},   {33, "Q4_0_8_8"},   {34, "TQ1_0"},
    {35, "TQ2_0"},  {36, "IQ4_NL_4_4"}, {37, "IQ4_NL_4_8"}, {38, "IQ4_NL_8_8"}, {39, "MXFP4"},
    {40, "NVFP4"},  {41, "Q1_0"},
};

}  // namespace

const GgufType* find_gguf_type(std::uint32_t id) {
  const auto* found =
      std::find_if(std::begin(kTypes), std::end(kTypes), [&](const auto& t) { return t.id == id; });
  return found == std::end(kTypes) ? nullptr : found;
}

std::string_view name_of_unread_gguf_type(std::uint32_t id) {
  const auto* found = std::find_if(std::begin(kUnread), std::end(kUnread),
                                   [&](const auto& t) { return t.id == id; });
  return found == std::end(kUnread) ? std::string_view() : found->name;
}

}  // namespace flux2
