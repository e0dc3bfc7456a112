#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "backends/cpu/attention.h"
#include "base/parallel.h"

namespace flux2 {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kPoison = std::numeric_limits<float>::quiet_NaN();

// The sizes of a call; the tensors lie as columns of rows that are `spread` wider than needed.
struct Case {
  std::int64_t batch = 1;
  std::int64_t queries = 1;
  std::int64_t keys = 1;
  std::int64_t heads = 1;
  std::int64_t key_heads = 1;
  std::int64_t width = 64;
  std::int64_t spread = 0;
  float magnitude = 1.0f;
};

struct Variant {
  Isa isa;
  DType dtype;
};

bool runs_here(Isa isa) {
  return isa <= processor_isa();
}

void put(const Tensor& tensor, std::int64_t offset, float value) {
  if (tensor.dtype() == DType::f32) {
    tensor.f32()[offset] = value;
  } else {
    tensor.bf16()[offset] = BFloat16(value);
  }
}

float get(const Tensor& tensor, std::int64_t offset) {
  if (tensor.dtype() == DType::f32) return tensor.f32()[offset];
  return static_cast<float>(tensor.bf16()[offset]);
}

std::int64_t at(const Tensor& t, std::int64_t b, std::int64_t l, std::int64_t h, std::int64_t c) {
  return b * t.stride(0) + l * t.stride(1) + h * t.stride(2) + c;
}

// [B, L, H, d], as a column range of [B, L, spread + H d] whose other columns are NaN.
Tensor make_heads(std::int64_t batch, std::int64_t tokens, std::int64_t heads, const Case& c,
                  DType dtype) {
  const std::int64_t row = heads * c.width;
  const Tensor all = make_host_tensor({batch, tokens, c.spread + row}, dtype);
  for (std::int64_t i = 0; i < all.elements(); ++i)
    put(all, i, kPoison);
  return all.slice(2, c.spread, row).view({batch, tokens, heads, c.width});
}

void fill_normal(const Tensor& t, float magnitude, std::mt19937& random) {
  std::normal_distribution<float> normal(0.0f, magnitude);
  for (std::int64_t b = 0; b < t.dim(0); ++b) {
    for (std::int64_t l = 0; l < t.dim(1); ++l) {
      for (std::int64_t i = 0; i < t.dim(2) * t.dim(3); ++i) {
        put(t, at(t, b, l, i / t.dim(3), i % t.dim(3)), normal(random));
      }
    }
  }
}

double bias_at(const Tensor& bias, std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j) {
  if (!bias.defined()) return 0.0;
  const std::int64_t sample = bias.dim(0) == 1 ? 0 : b;
  const std::int64_t head = bias.dim(1) == 1 ? 0 : h;
  return bias.f32()[at(bias, sample, head, i, j)];
}

// One row by the definition, in double; `weighed` is sum_j softmax_j |v_j|, what errors scale with.
struct ExactRow {
  std::vector<double> values;
  std::vector<double> weighed;
};

ExactRow exact_row(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask,
                   std::int64_t b, std::int64_t i, std::int64_t h) {
  const std::int64_t width = q.dim(3);
  const std::int64_t g = h * k.dim(2) / q.dim(2);
  const KeyRange range =
      mask.keys.empty() ? KeyRange{0, k.dim(1)} : mask.keys[static_cast<std::size_t>(b)];
  std::int64_t end = range.end;
  if (mask.causality == Causality::causal) end = std::min(end, i + 1 + k.dim(1) - q.dim(1));
  std::vector<double> scores;
  double most = -kInfinity;
  for (std::int64_t j = range.begin; j < end; ++j) {
    double score = 0;
    for (std::int64_t c = 0; c < width; ++c) {
      score += static_cast<double>(get(q, at(q, b, i, h, c))) * get(k, at(k, b, j, g, c));
    }
    scores.push_back(score / std::sqrt(static_cast<double>(width)) +
                     bias_at(mask.bias, b, h, i, j));
    most = std::max(most, scores.back());
  }
  ExactRow row{std::vector<double>(static_cast<std::size_t>(width)),
               std::vector<double>(static_cast<std::size_t>(width))};
  if (std::isinf(most)) return row;
  double sum = 0;
  for (double& score : scores)
    sum += score = std::exp(score - most);
  for (std::size_t c = 0; c < row.values.size(); ++c) {
    for (std::size_t j = 0; j < scores.size(); ++j) {
      const double value = get(
          v, at(v, b, range.begin + static_cast<std::int64_t>(j), g, static_cast<std::int64_t>(c)));
      row.values[c] += scores[j] / sum * value;
      row.weighed[c] += scores[j] / sum * std::abs(value);
    }
  }
  return row;
}

// Relative to sum_j p_j |v_j|: rounding errors of the scores move each weight by a relative
// sqrt(d) 2^-24 |score|; bfloat16 adds 2^-8 for the weights, as much for their sum, and as much for
// its results.
double tolerance(const Case& c, const Variant& variant, DType out) {
  const double score = c.magnitude * c.magnitude * 6.0 + 1.0;
  double bound = std::sqrt(static_cast<double>(c.width + c.keys)) * score * 0x1p-23;
  if (variant.dtype == DType::bf16 && variant.isa >= Isa::avx512_bf16) bound += 0x1p-7;
  if (out == DType::bf16) bound += 0x1p-8;
  return bound;
}

AttentionMask causal_mask() {
  AttentionMask mask;
  mask.causality = Causality::causal;
  return mask;
}

class AttentionKernel : public testing::TestWithParam<Variant> {
 protected:
  void SetUp() override {
    if (!runs_here(GetParam().isa)) GTEST_SKIP() << "this processor lacks the instructions";
  }

  void check(const Case& c, const AttentionMask& mask = {}) {
    const DType dtype = GetParam().dtype;
    std::mt19937 random(7);
    const Tensor q = make_heads(c.batch, c.queries, c.heads, c, dtype);
    const Tensor k = make_heads(c.batch, c.keys, c.key_heads, c, dtype);
    const Tensor v = make_heads(c.batch, c.keys, c.key_heads, c, dtype);
    fill_normal(q, c.magnitude, random);
    fill_normal(k, c.magnitude, random);
    fill_normal(v, 1.0f, random);
    for (const DType out_dtype : {DType::f32, DType::bf16}) {
      const Tensor out = make_heads(c.batch, c.queries, c.heads, c, out_dtype);
      CpuAttention attention(GetParam().isa);
      attention(q, k, v, mask, out);
      compare(c, q, k, v, mask, out);
    }
  }

 private:
  void compare(const Case& c, const Tensor& q, const Tensor& k, const Tensor& v,
               const AttentionMask& mask, const Tensor& out) {
    const double bound = tolerance(c, GetParam(), out.dtype());
    const std::int64_t rows = c.batch * c.queries * c.heads;
    const std::int64_t step = std::max<std::int64_t>(1, rows / 120);
    for (std::int64_t row = 0; row < rows; row += step) {
      const std::int64_t h = row % c.heads;
      const std::int64_t i = row / c.heads % c.queries;
      const std::int64_t b = row / c.heads / c.queries;
      const ExactRow exact = exact_row(q, k, v, mask, b, i, h);
      for (std::int64_t channel = 0; channel < c.width; ++channel) {
        const auto at_channel = static_cast<std::size_t>(channel);
        ASSERT_NEAR(get(out, at(out, b, i, h, channel)), exact.values[at_channel],
                    bound * exact.weighed[at_channel])
            << "sample " << b << " query " << i << " head " << h << " channel " << channel;
      }
    }
    if (c.spread > 0) {
      EXPECT_TRUE(std::isnan(get(out, -1))) << "wrote in front of its columns";
    }
  }
};

TEST_P(AttentionKernel, EveryHeadWidth) {
  for (const std::int64_t width :
       {1, 2, 3, 8, 10, 15, 16, 17, 24, 32, 33, 40, 64, 80, 96, 128, 130, 256, 500, 512}) {
    SCOPED_TRACE(width);
    check({.queries = 50, .keys = 37, .heads = 2, .key_heads = 2, .width = width, .spread = 3});
  }
}

TEST_P(AttentionKernel, EveryCountOfTokens) {
  for (const std::int64_t queries : {1, 2, 8, 9, 16, 17, 24, 25, 47, 48, 49, 97, 150}) {
    for (const std::int64_t keys : {1, 2, 7, 16, 17, 127, 128, 129, 300}) {
      SCOPED_TRACE(std::to_string(queries) + " queries, " + std::to_string(keys) + " keys");
      check({.queries = queries, .keys = keys, .width = 32, .spread = 64});
    }
  }
}

TEST_P(AttentionKernel, JointSequenceOfTheTransformer) {
  check({.queries = 768, .keys = 768, .heads = 3, .key_heads = 3, .width = 128, .spread = 384});
}

TEST_P(AttentionKernel, OneWideHeadOfTheAutoencoder) {
  check({.batch = 2, .queries = 1030, .keys = 1030, .width = 512});
}

TEST_P(AttentionKernel, GroupedHeads) {
  for (const std::int64_t queries : {1, 2, 5, 60}) {
    SCOPED_TRACE(queries);
    check({.batch = 2, .queries = queries, .keys = 140, .heads = 8, .key_heads = 2, .width = 64},
          causal_mask());
  }
}

TEST_P(AttentionKernel, CausalSeesTheCache) {
  for (const std::int64_t queries : {1, 7, 64, 300}) {
    for (const std::int64_t keys : {1, 40, 300, 513}) {
      SCOPED_TRACE(std::to_string(queries) + " queries, " + std::to_string(keys) + " keys");
      check({.queries = queries, .keys = keys, .heads = 2, .key_heads = 2, .width = 32},
            causal_mask());
    }
  }
}

TEST_P(AttentionKernel, KeyRangesDifferBySample) {
  const AttentionMask ranges{.keys = {{0, 200}, {150, 200}, {3, 131}, {20, 20}}, .bias = {}};
  AttentionMask causal = ranges;
  causal.causality = Causality::causal;
  for (const std::int64_t queries : {2, 200}) {
    const Case c{.batch = 4, .queries = queries, .keys = 200, .heads = 2, .key_heads = 1};
    check(c, ranges);
    check(c, causal);
  }
}

TEST_P(AttentionKernel, BiasAndFullyMaskedRows) {
  for (const std::int64_t queries : {3, 70}) {
    for (const std::int64_t biased_heads : {1, 2}) {
      const Tensor bias = make_host_tensor({biased_heads, biased_heads, queries, 150});
      std::mt19937 random(3);
      std::normal_distribution<float> normal;
      for (std::int64_t i = 0; i < bias.elements(); ++i) {
        const float value = normal(random);
        bias.f32()[i] = i / 150 % 5 == 2 || value > 1.0f ? -kInfinity : value;
      }
      const Case c{.batch = 2, .queries = queries, .keys = 150, .heads = 2, .key_heads = 2};
      check(c, {.keys = {}, .bias = bias});
      check(c, {.causality = Causality::causal, .keys = {{5, 150}, {0, 129}}, .bias = bias});
    }
  }
}

TEST_P(AttentionKernel, LargeAndGrowingScores) {
  check({.queries = 100, .keys = 700, .width = 128, .magnitude = 4.0f});
  check({.queries = 4, .keys = 700, .width = 128, .magnitude = 4.0f});
}

TEST_P(AttentionKernel, ANotANumberStaysInItsRow) {
  const DType dtype = GetParam().dtype;
  for (const std::int64_t tokens : {4, 40}) {
    const Case c{.queries = tokens, .keys = tokens};
    std::mt19937 random(1);
    Tensor qkv[3];
    for (Tensor& t : qkv) {
      t = make_heads(1, tokens, 1, c, dtype);
      fill_normal(t, 1.0f, random);
    }
    put(qkv[0], at(qkv[0], 0, 2, 0, 5), kPoison);
    const Tensor out = make_heads(1, tokens, 1, c, DType::f32);
    CpuAttention attention(GetParam().isa);
    attention(qkv[0], qkv[1], qkv[2], {}, out);
    for (std::int64_t i = 0; i < tokens; ++i) {
      EXPECT_EQ(std::isnan(get(out, at(out, 0, i, 0, 0))), i == 2) << "query " << i;
    }
  }
}

TEST_P(AttentionKernel, SameBytesForAnyNumberOfThreads) {
  const Case c{.batch = 2, .queries = 333, .keys = 333, .heads = 3, .key_heads = 3};
  std::mt19937 random(5);
  Tensor qkv[3];
  for (Tensor& t : qkv) {
    t = make_heads(c.batch, c.queries, c.heads, c, GetParam().dtype);
    fill_normal(t, 1.0f, random);
  }
  CpuAttention attention(GetParam().isa);
  const int threads = thread_count();
  std::vector<float> first;
  for (const int count : {1, 2, 3, 7, 64}) {
    set_thread_count(count);
    const Tensor out = make_heads(c.batch, c.queries, c.heads, c, DType::f32);
    attention(qkv[0], qkv[1], qkv[2], causal_mask(), out);
    const std::vector<float> result = to_vector(out);
    if (first.empty()) first = result;
    EXPECT_EQ(std::memcmp(first.data(), result.data(), first.size() * sizeof(float)), 0)
        << count << " threads";
  }
  set_thread_count(threads);
}

TEST(AttentionScratch, IsKeptAndGivenBack) {
  if (!runs_here(Isa::avx2)) GTEST_SKIP() << "this processor lacks the instructions";
  const Tensor x = make_host_tensor({1, 64, 2, 64});
  std::memset(x.bytes(), 0, bytes_for(x.shape(), x.dtype()));
  const Tensor out = make_host_tensor({1, 64, 2, 64});
  CpuAttention attention(Isa::avx2);
  EXPECT_EQ(attention.scratch_bytes(), 0u);
  attention(x, x, x, {}, out);
  const std::size_t held = attention.scratch_bytes();
  EXPECT_GT(held, 0u);
  attention(x, x, x, {}, out);
  EXPECT_EQ(attention.scratch_bytes(), held);
  attention.trim();
  EXPECT_EQ(attention.scratch_bytes(), 0u);
}

std::string name_of_variant(const testing::TestParamInfo<Variant>& info) {
  const char* isas[] = {"avx2", "avx512", "avx512_vnni", "avx512_bf16", "avx512_amx"};
  return std::string(isas[static_cast<int>(info.param.isa)]) +
         (info.param.dtype == DType::f32 ? "_f32" : "_bf16");
}

INSTANTIATE_TEST_SUITE_P(
    Variants, AttentionKernel,
    testing::Values(Variant{Isa::avx2, DType::f32}, Variant{Isa::avx2, DType::bf16},
                    Variant{Isa::avx512, DType::f32}, Variant{Isa::avx512, DType::bf16},
                    Variant{Isa::avx512_bf16, DType::f32}, Variant{Isa::avx512_bf16, DType::bf16},
                    Variant{Isa::avx512_amx, DType::bf16}),
    name_of_variant);

}  // namespace
}  // namespace flux2
