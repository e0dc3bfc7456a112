#include "backends/cpu/attention.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdlib>
#include <string>

#include "backends/cpu/attention_kernels.h"
#include "backends/cpu/items.h"
#include "base/rounding.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

constexpr std::int64_t kAlignment = 64;
constexpr std::int64_t kWorkspacePadding = 64;  // channels: a multiple of every kernel's unrolling
// Heads are packed together until each thread has this many tiles, or the packed keys and values
// take this much memory: enough to balance the threads, little enough to stay in the cache.
constexpr std::int64_t kTilesPerThread = 32;
constexpr std::int64_t kPackedBytes = std::int64_t{32} << 20;
// Calls with fewer multiplications stay on the calling thread: waking others costs more.
constexpr std::int64_t kSmallCall = std::int64_t{1} << 20;

AttentionTokens head_tokens(const Tensor& tensor, std::int64_t sample, std::int64_t head,
                            std::int64_t first) {
  const std::int64_t offset =
      sample * tensor.stride(0) + first * tensor.stride(1) + head * tensor.stride(2);
  const auto bytes = static_cast<std::int64_t>(size_of(tensor.dtype()));
  return {tensor.bytes() + offset * bytes, tensor.stride(1), tensor.dtype()};
}

std::byte* row_of(const Tensor& tensor, std::int64_t sample, std::int64_t token,
                  std::int64_t head) {
  const std::int64_t offset =
      sample * tensor.stride(0) + token * tensor.stride(1) + head * tensor.stride(2);
  return tensor.bytes() + offset * static_cast<std::int64_t>(size_of(tensor.dtype()));
}

// The arguments of one call. A "set" is one key head of one sample with all the queries that see
// it: its rows are (token, query head of the group), heads fastest, so that neighbouring rows of
// a causal mask see about the same keys.
struct Call {
  const Tensor& q;
  const Tensor& k;
  const Tensor& v;
  const AttentionMask& mask;
  const Tensor& out;

  std::int64_t width() const { return q.dim(3); }
  std::int64_t key_heads() const { return k.dim(2); }
  std::int64_t group() const { return q.dim(2) / key_heads(); }
  std::int64_t sets() const { return q.dim(0) * key_heads(); }
  std::int64_t rows() const { return q.dim(1) * group(); }
  KeyRange keys(std::int64_t set) const {
    const std::int64_t all = k.dim(1);
    if (mask.keys.empty()) return {0, all};
    const KeyRange range = mask.keys[static_cast<std::size_t>(set / key_heads())];
    const std::int64_t begin = std::clamp<std::int64_t>(range.begin, 0, all);
    return {begin, std::clamp(range.end, begin, all)};
  }
  std::int64_t workers() const {
    const std::int64_t products = 2 * q.elements() * most_keys();
    return products < kSmallCall ? 1 : thread_count();
  }
  std::int64_t most_keys() const {
    std::int64_t most = 0;
    for (std::int64_t set = 0; set < sets(); set += key_heads()) {
      most = std::max(most, keys(set).end - keys(set).begin);
    }
    return most;
  }
  AttentionTokens key_tokens(std::int64_t set) const {
    return head_tokens(k, set / key_heads(), set % key_heads(), keys(set).begin);
  }
  AttentionTokens value_tokens(std::int64_t set) const {
    return head_tokens(v, set / key_heads(), set % key_heads(), keys(set).begin);
  }
};

void check(const Call& call) {
  assert(call.q.rank() == 4 && call.k.rank() == 4 && call.q.shape() == call.out.shape());
  assert(call.k.shape() == call.v.shape() && call.q.dim(0) == call.k.dim(0));
  assert(call.q.dim(3) == call.k.dim(3) && call.q.dim(2) % call.k.dim(2) == 0);
  assert(call.mask.keys.empty() ||
         static_cast<std::int64_t>(call.mask.keys.size()) == call.q.dim(0));
  static_cast<void>(call);
}

// Keys of its range that query `token` sees.
std::int32_t limit_of(const Call& call, KeyRange range, std::int64_t token) {
  std::int64_t end = range.end;
  if (call.mask.causality == Causality::causal) {
    end = std::min(end, token + 1 + call.k.dim(1) - call.q.dim(1));
  }
  return static_cast<std::int32_t>(std::max<std::int64_t>(0, end - range.begin));
}

const float* bias_of(const Tensor& bias, std::int64_t sample, std::int64_t head,
                     std::int64_t token) {
  return bias.f32() + (bias.dim(0) == 1 ? 0 : sample * bias.stride(0)) +
         (bias.dim(1) == 1 ? 0 : head * bias.stride(1)) + token * bias.stride(2);
}

// Describes rows [first, first + count) of a set, filled up to kAttentionMaxTile.
AttentionTile make_tile(const Call& call, std::int64_t set, std::int64_t first,
                        std::int64_t count) {
  const std::int64_t sample = set / call.key_heads();
  const KeyRange range = call.keys(set);
  AttentionTile tile;
  tile.rows = static_cast<int>(count);
  tile.width = call.width();
  tile.scale = 1.0f / std::sqrt(static_cast<float>(call.width()));
  tile.query_dtype = call.q.dtype();
  tile.out_dtype = call.out.dtype();
  tile.key_count = range.end - range.begin;
  tile.has_bias = call.mask.bias.defined();
  for (int i = 0; i < kAttentionMaxTile; ++i) {
    const bool real = i < tile.rows;
    const std::int64_t row = real ? first + i : first;
    const std::int64_t token = row / call.group();
    const std::int64_t head = set % call.key_heads() * call.group() + row % call.group();
    tile.query[i] = real ? row_of(call.q, sample, token, head) : nullptr;
    tile.out[i] = real ? row_of(call.out, sample, token, head) : nullptr;
    tile.limit[i] = real ? limit_of(call, range, token) : 0;
    tile.bias[i] =
        tile.has_bias ? bias_of(call.mask.bias, sample, head, token) + range.begin : nullptr;
  }
  return tile;
}

const AttentionKernels& kernels_for(Isa isa, const Call& call) {
  const bool pairs = call.q.dtype() == DType::bf16 && call.k.dtype() == DType::bf16 &&
                     call.v.dtype() == DType::bf16;
  if (isa >= Isa::avx512_amx && pairs) return attention_kernels_avx512_amx();
  if (isa >= Isa::avx512_bf16 && pairs) return attention_kernels_avx512_bf16();
  return isa == Isa::avx2 ? attention_kernels_avx2() : attention_kernels_avx512();
}

// How the scratch memory of a call is laid out, in 32-bit words: a workspace for each worker, then
// for each set of a wave its packed keys and values.
struct Plan {
  std::int64_t workers;
  std::int64_t workspace;
  std::int64_t tiles;  // of a set
  std::int64_t blocks;
  std::int64_t packed_keys;  // words of a set
  std::int64_t packed_values;
  std::int64_t sets;  // of a wave

  std::size_t bytes() const {
    return static_cast<std::size_t>(workers * workspace + sets * (packed_keys + packed_values)) * 4;
  }
};

// Words of a packed key.
std::int64_t channel_words(const Call& call, const AttentionKernels& kernels) {
  return round_up(ceil_divide(call.width(), kernels.packing), kernels.word_multiple);
}

Plan make_plan(const Call& call, const AttentionKernels& kernels) {
  const std::int64_t padded_keys = round_up(call.most_keys(), kernels.key_multiple);
  const std::int64_t padded_width = round_up(call.width(), kWorkspacePadding);
  const auto words = [](std::int64_t count) { return round_up(count, kAlignment / 4); };
  Plan plan{};
  plan.workers = call.workers();
  plan.workspace = words(attention_tile_words(padded_width));
  plan.tiles = ceil_divide(call.rows(), kernels.tile);
  plan.blocks = ceil_divide(call.most_keys(), kAttentionKeyBlock);
  plan.packed_keys = words(padded_keys * channel_words(call, kernels));
  plan.packed_values = words(padded_keys / kernels.packing * round_up(call.width(), kernels.lanes));
  const std::int64_t set_bytes = 4 * (plan.packed_keys + plan.packed_values);
  const std::int64_t wanted = ceil_divide(kTilesPerThread * plan.workers, plan.tiles);
  const std::int64_t bound = kPackedBytes / std::max<std::int64_t>(1, set_bytes);
  plan.sets = std::clamp<std::int64_t>(std::min(wanted, bound), 1, call.sets());
  return plan;
}

void pack_block(const Call& call, const AttentionKernels& kernels, std::int64_t set,
                std::int64_t block, std::uint32_t* keys, std::uint32_t* values) {
  const KeyRange range = call.keys(set);
  const std::int64_t begin = block * kAttentionKeyBlock;
  const std::int64_t count = std::min(kAttentionKeyBlock, range.end - range.begin - begin);
  if (count <= 0) return;
  const auto skip = [begin](AttentionTokens tokens) {
    tokens.data += begin * tokens.stride * static_cast<std::int64_t>(size_of(tokens.dtype));
    return tokens;
  };
  kernels.pack(
      {.keys = skip(call.key_tokens(set)),
       .values = skip(call.value_tokens(set)),
       .count = count,
       .width = call.width(),
       .packed_keys = keys + begin * channel_words(call, kernels),
       .packed_values = values + begin / kernels.packing * round_up(call.width(), kernels.lanes)});
}

void attend_tiles(const Call& call, const AttentionKernels& kernels, const Plan& plan,
                  std::uint32_t* scratch) {
  std::uint32_t* keys = scratch + plan.workers * plan.workspace;
  std::uint32_t* values = keys + plan.sets * plan.packed_keys;
  for (std::int64_t first = 0; first < call.sets(); first += plan.sets) {
    const std::int64_t sets = std::min(plan.sets, call.sets() - first);
    for_each_item(sets * plan.blocks, plan.workers, [&](std::int64_t item, std::int64_t) {
      const std::int64_t set = item / plan.blocks;
      pack_block(call, kernels, first + set, item % plan.blocks, keys + set * plan.packed_keys,
                 values + set * plan.packed_values);
    });
    for_each_item(sets * plan.tiles, plan.workers, [&](std::int64_t item, std::int64_t worker) {
      const std::int64_t set = item / plan.tiles;
      // From the last tile on: under a causal mask it has the most to do.
      const std::int64_t row = (plan.tiles - 1 - item % plan.tiles) * kernels.tile;
      const std::int64_t rows = std::min<std::int64_t>(kernels.tile, call.rows() - row);
      AttentionTile tile = make_tile(call, first + set, row, rows);
      tile.packed_keys = keys + set * plan.packed_keys;
      tile.packed_values = values + set * plan.packed_values;
      tile.workspace = scratch + worker * plan.workspace;
      kernels.attend(tile);
    });
  }
}

}  // namespace

std::size_t CpuAttention::scratch_bytes_for(const Tensor& q, const Tensor& k, const Tensor& v,
                                            const AttentionMask& mask) const {
  const Call call{q, k, v, mask, q};
  if (call.rows() > kAttentionFewRows) return make_plan(call, kernels_for(isa_, call)).bytes();
  const std::int64_t workspace = attention_few_words(round_up(call.width(), kWorkspacePadding));
  return static_cast<std::size_t>(call.workers() * workspace) * 4;
}

void CpuAttention::operator()(const Tensor& q, const Tensor& k, const Tensor& v,
                              const AttentionMask& mask, const Tensor& out) {
  const Call call{q, k, v, mask, out};
  check(call);
  if (out.elements() == 0) return;
  const auto words = [](std::byte* bytes) {
    return static_cast<std::uint32_t*>(static_cast<void*>(bytes));
  };
  if (call.rows() > kAttentionFewRows) {
    const AttentionKernels& kernels = kernels_for(isa_, call);
    const Plan plan = make_plan(call, kernels);
    attend_tiles(call, kernels, plan, words(reserve(plan.bytes())));
    return;
  }
  const AttendFew attend = isa_ == Isa::avx2 ? attend_few_avx2 : attend_few_avx512;
  const std::int64_t workspace = attention_few_words(round_up(call.width(), kWorkspacePadding));
  const std::int64_t workers = call.workers();
  std::uint32_t* scratch = words(reserve(static_cast<std::size_t>(workers * workspace) * 4));
  for_each_item(call.sets(), workers, [&](std::int64_t set, std::int64_t worker) {
    AttentionTile tile = make_tile(call, set, 0, call.rows());
    tile.keys = call.key_tokens(set);
    tile.values = call.value_tokens(set);
    tile.workspace = scratch + worker * workspace;
    attend(tile);
  });
}

std::byte* CpuAttention::reserve(std::size_t bytes) {
  if (bytes <= scratch_bytes_) return scratch_;
  trim();
  const std::size_t size = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  scratch_ = static_cast<std::byte*>(std::aligned_alloc(kAlignment, size));
  if (scratch_ == nullptr) {
    throw Error(ErrorCode::out_of_memory, "attention needs " + std::to_string(size) + " bytes",
                "attention", "use a smaller picture or shorter text");
  }
  scratch_bytes_ = size;
  return scratch_;
}

void CpuAttention::trim() {
  std::free(scratch_);
  scratch_ = nullptr;
  scratch_bytes_ = 0;
}

}  // namespace flux2
