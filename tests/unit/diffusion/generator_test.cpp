#include "diffusion/generator.h"

#include <cmath>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "diffusion/box_muller.h"
#include "flux2/error.h"
#include "golden.h"

namespace flux2 {
namespace {

using testing::GoldenFile;
using testing::hash_words;

// "KIND.DTYPE.seedN.REST": what a tensor of rng/randn.safetensors is.
struct Case {
  std::string kind;
  DType dtype = DType::f32;
  std::uint64_t seed = 0;
  std::string rest;
};

Case parse(const std::string& name) {
  std::istringstream stream(name);
  std::string dtype;
  std::string seed;
  Case parsed;
  std::getline(stream, parsed.kind, '.');
  std::getline(stream, dtype, '.');
  std::getline(stream, seed, '.');
  std::getline(stream, parsed.rest);
  parsed.dtype = dtype == "f32"    ? DType::f32
                 : dtype == "bf16" ? DType::bf16
                 : dtype == "f16"  ? DType::f16
                                   : DType::f64;
  parsed.seed = std::stoull(seed.substr(4));
  return parsed;
}

void expect_same_bytes(const Tensor& actual, const StoredTensor& golden, const std::string& name) {
  ASSERT_EQ(actual.dtype(), golden.dtype) << name;
  ASSERT_EQ(actual.shape(), golden.shape) << name;
  EXPECT_EQ(std::memcmp(actual.bytes(), golden.bytes.data(), golden.bytes.size()), 0) << name;
}

TEST(Generator, EqualsTorchOnEveryGolden) {
  const GoldenFile goldens("rng/randn.safetensors");
  int randn_cases = 0;
  int pairs = 0;
  int uniforms = 0;
  for (const auto& [name, golden] : goldens.tensors()) {
    const Case c = parse(name);
    Generator generator(c.seed);
    if (c.kind == "randn") {
      expect_same_bytes(randn(generator, golden.shape, c.dtype), golden, name);
      ++randn_cases;
    } else if (c.kind == "uniform") {
      expect_same_bytes(rand(generator, golden.shape), golden, name);
      ++uniforms;
    } else if (c.kind == "two_draws" && name.ends_with(".a")) {
      const std::string second = name.substr(0, name.size() - 1) + "b";
      const StoredTensor& after = goldens.stored(second);
      expect_same_bytes(randn(generator, golden.shape, c.dtype), golden, name);
      expect_same_bytes(randn(generator, after.shape, c.dtype), after, second);
      ++pairs;
    }
  }
  EXPECT_EQ(randn_cases, 200);
  EXPECT_EQ(pairs, 60);
  EXPECT_EQ(uniforms, 5);
}

// Hashes of torch 2.15's numbers: a whole 1024 x 1024 picture's noise, so that every corner of the
// polynomials is visited.
TEST(Generator, EqualsTorchOverAPicture) {
  const auto hash = [](std::uint64_t seed) {
    Generator generator(seed);
    return hash_words<std::uint32_t>(randn(generator, {1, 128, 64, 64}, DType::f32));
  };
  EXPECT_EQ(hash(7), 0x1c016696e7ae3aa2u);
  EXPECT_EQ(hash(123456789), 0x3e94d229c9ac049fu);
  Generator bf16(7);
  EXPECT_EQ(hash_words<std::uint16_t>(randn(bf16, {1, 128, 64, 64}, DType::bf16)),
            0xdea25346cc21acbau);
}

TEST(Generator, EqualsTorchOverATail) {
  Generator f16(7);
  EXPECT_EQ(hash_words<std::uint16_t>(randn(f16, {100003}, DType::f16)), 0x4c45d3300426218u);
  Generator f64(7);
  const Tensor wide = randn(f64, {65533}, DType::f64);
  EXPECT_NEAR(wide.data<double>()[65532], -0x1.4d82f34003caap+0, 1e-13);
}

// From an independent model of the algorithm; no torch that still has it was at hand.
TEST(Generator, LegacyHalvesRoundEveryStep) {
  const auto hash = [](DType dtype, std::int64_t size) {
    Generator generator(42);
    return hash_words<std::uint16_t>(randn(generator, {size}, dtype, HalfNormals::legacy));
  };
  EXPECT_EQ(hash(DType::bf16, 16), 0x804c1726dc4e49ddu);
  EXPECT_EQ(hash(DType::bf16, 35), 0x14307cd45cd0603u);
  EXPECT_EQ(hash(DType::bf16, 4096), 0xc6bbc3f2643af6fcu);
  EXPECT_EQ(hash(DType::f16, 16), 0x22e2163a98685ee6u);
  EXPECT_EQ(hash(DType::f16, 35), 0xd29e0060ec6345e3u);
  EXPECT_EQ(hash(DType::f16, 4096), 0xe57211486d9f112cu);
}

TEST(Generator, LegacyBf16IsBounded) {
  Generator generator(3);
  const float bound = std::sqrt(-2.0f * std::log(1.0f / 256.0f)) * 1.01f;
  for (const float value : to_vector(randn(generator, {65536}, DType::bf16, HalfNormals::legacy)))
    ASSERT_LE(std::abs(value), bound);
}

TEST(Generator, LegacyOnlyChangesLongHalves) {
  const auto draw = [](DType dtype, std::int64_t size, HalfNormals kind) {
    Generator generator(5);
    return to_vector(randn(generator, {size}, dtype, kind));
  };
  EXPECT_EQ(draw(DType::f32, 64, HalfNormals::legacy), draw(DType::f32, 64, HalfNormals::rounded));
  EXPECT_EQ(draw(DType::bf16, 15, HalfNormals::legacy),
            draw(DType::bf16, 15, HalfNormals::rounded));
  EXPECT_NE(draw(DType::bf16, 64, HalfNormals::legacy),
            draw(DType::bf16, 64, HalfNormals::rounded));
}

TEST(Generator, OnlyTheLowHalfOfASeedCounts) {
  Generator low(0x1234u);
  Generator high(0xABCD00001234u);
  Generator other(0x1235u);
  const std::uint32_t word = low.random();
  EXPECT_EQ(word, high.random());
  EXPECT_NE(word, other.random());
}

TEST(Generator, BatchBeginsWithTheSinglePicture) {
  Generator one(11);
  Generator two(11);
  const std::vector<float> single = to_vector(randn(one, {1, 128, 3, 5}, DType::f32));
  const std::vector<float> batch = to_vector(randn(two, {2, 128, 3, 5}, DType::f32));
  EXPECT_TRUE(std::equal(single.begin(), single.end(), batch.begin()));
  EXPECT_FALSE(std::equal(single.begin(), single.end(),
                          batch.begin() + static_cast<std::ptrdiff_t>(single.size())));
}

// u1 = 0 has radius 0, whatever the direction. It comes once in 2^24 numbers.
TEST(BoxMuller, ZeroIsPositive) {
  float block[kNormalBlock] = {};
  double wide[kNormalBlock] = {};
  for (int j = 0; j < kNormalBlock / 2; ++j) {
    block[j + 8] = static_cast<float>(j) / 8.0f;
    wide[j + 8] = j / 8.0;
  }
  box_muller(block);
  box_muller(wide);
  for (int j = 0; j < kNormalBlock; ++j) {
    EXPECT_TRUE(block[j] == 0.0f && !std::signbit(block[j])) << j;
    EXPECT_TRUE(wide[j] == 0.0 && !std::signbit(wide[j])) << j;
  }
}

// The polynomials are logarithm, sine and cosine: close to the library's, but not the same bits.
TEST(BoxMuller, IsCloseToTheMathematics) {
  int equal = 0;
  for (int step = 1; step < 4096; ++step) {
    const float u1 = static_cast<float>(step) / 4096.0f;
    const float u2 = static_cast<float>(4096 - step) / 4096.0f;
    float block[kNormalBlock] = {u1};
    block[8] = u2;
    double wide[kNormalBlock] = {static_cast<double>(u1)};
    wide[8] = static_cast<double>(u2);
    box_muller(block);
    box_muller(wide);
    ASSERT_NEAR(block[0], wide[0], 3e-6) << step;
    ASSERT_NEAR(block[8], wide[8], 3e-6) << step;
    equal += block[0] == static_cast<float>(wide[0]) ? 1 : 0;
  }
  EXPECT_LT(equal, 4000);
}

TEST(Generator, NothingDrawnConsumesNothing) {
  Generator generator(1);
  EXPECT_EQ(randn(generator, {0}, DType::f32).elements(), 0);
  EXPECT_EQ(generator.random(), Generator(1).random());
}

TEST(Generator, RefusesIntegers) {
  Generator generator(1);
  EXPECT_THROW(randn(generator, {4}, DType::i32), Error);
}

}  // namespace
}  // namespace flux2
