#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

// The contract between attention.cpp, which splits the work, and the kernels that are compiled once
// an instruction set. Plain structs and function pointers only: an inline function that both sides
// used could be kept in the version with the wider instructions.
//
// Queries lie across the lanes of vectors, so that the running softmax needs no sums or maxima
// across lanes, and keys (then channels) are broadcast. A 32-bit "word" is what one multiply-add
// consumes a lane: one float, or two bfloat16 neighbours.
//
//   scores   S[key][query]    += K[key][word of channels] . Q[word of channels][query]
//   values   O[channel][query] += V[channel][word of keys] . P[word of keys][query]
namespace flux2 {

/// Keys that a tile of queries meets at a time: the last block of a sample may be shorter.
inline constexpr std::int64_t kAttentionKeyBlock = 128;
/// The most queries that a tile holds in any variant.
inline constexpr int kAttentionMaxTile = 64;

/// Tokens of one head: row i starts `i * stride` elements behind `data`.
struct AttentionTokens {
  const std::byte* data = nullptr;
  std::int64_t stride = 0;
  DType dtype = DType::f32;
};

/// One block of keys and values to be packed.
struct AttentionPacking {
  AttentionTokens keys;
  AttentionTokens values;
  std::int64_t count = 0;  ///< tokens, at most kAttentionKeyBlock
  std::int64_t width = 0;  ///< channels of a head
  /// [padded keys / group][words of channels][group] (AMX: tiles of 16 keys x 16 words, a row of
  /// them 16 keys), then zeros for the padding
  std::uint32_t* packed_keys = nullptr;
  /// [padded channels / group][words of keys][group] (AMX: tiles of 16 channels), likewise
  std::uint32_t* packed_values = nullptr;
};

/// Queries that see the same keys and values: rows of one key head, of any query head in its group.
struct AttentionTile {
  int rows = 0;  ///< real rows; the arrays below are filled up to the tile's size
  std::int64_t width = 0;
  float scale = 1;  ///< of the scores
  DType query_dtype = DType::f32;
  DType out_dtype = DType::f32;
  std::int64_t key_count = 0;
  const std::byte* query[kAttentionMaxTile];
  std::byte* out[kAttentionMaxTile];
  /// Row r sees keys [0, limit[r]); 0 for the rows that fill up.
  std::int32_t limit[kAttentionMaxTile];
  /// Added to the scores, from the first key on; only where has_bias.
  const float* bias[kAttentionMaxTile];
  bool has_bias = false;
  const std::uint32_t* packed_keys = nullptr;    ///< blocks one after another
  const std::uint32_t* packed_values = nullptr;  ///< likewise
  AttentionTokens keys;                          ///< unpacked, for attend_few
  AttentionTokens values;
  /// Scratch, 64-byte aligned: attention_tile_words or attention_few_words.
  std::uint32_t* workspace = nullptr;
};

/// One variant.
struct AttentionKernels {
  int tile = 0;           ///< queries in a full tile
  int lanes = 0;          ///< channels of the values are padded to a multiple of this
  int packing = 0;        ///< elements in a word
  int word_multiple = 0;  ///< words of channels are padded to a multiple of this
  int key_multiple = 0;   ///< keys are padded to a multiple of this
  void (*pack)(const AttentionPacking& block) = nullptr;
  void (*attend)(const AttentionTile& tile) = nullptr;
};

/// Attention of a few rows straight from unpacked keys and values: a step of decoding reads each
/// key once, so packing would cost more than it saves.
using AttendFew = void (*)(const AttentionTile& tile);
/// The most rows that attend_few takes.
inline constexpr int kAttentionFewRows = 4;

/// Words of workspace for `attend`: queries, scores and outputs of a tile.
constexpr std::int64_t attention_tile_words(std::int64_t padded_width) {
  return (2 * padded_width + kAttentionKeyBlock) * kAttentionMaxTile;
}
/// Words of workspace for `attend_few`: queries, outputs and scores of its rows.
constexpr std::int64_t attention_few_words(std::int64_t padded_width) {
  return (2 * padded_width + kAttentionKeyBlock) * kAttentionFewRows;
}

const AttentionKernels& attention_kernels_avx2();
const AttentionKernels& attention_kernels_avx512();
const AttentionKernels& attention_kernels_avx512_bf16();
const AttentionKernels& attention_kernels_avx512_amx();
void attend_few_avx2(const AttentionTile& tile);
void attend_few_avx512(const AttentionTile& tile);

}  // namespace flux2
