#include "diffusion/philox.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "flux2/error.h"

// Sources: ATen/native/cuda/DistributionTemplates.h of PyTorch (how elements are given to
// threads), curand_normal.h of CUDA (how words become normal numbers).

namespace flux2 {
namespace {

constexpr std::int64_t kBlockThreads = 256;
constexpr std::int64_t kUnroll = 4;  // elements of a thread from one draw
constexpr std::int64_t kMaxElements = std::int64_t{1} << 29;

std::uint32_t low_word(std::uint64_t value) {
  return static_cast<std::uint32_t>(value);
}
std::uint32_t high_word(std::uint64_t value) {
  return static_cast<std::uint32_t>(value >> 32);
}

// Two words become two normal numbers, the sine first. The products and sums are fused on a GPU.
void curand_box_muller(std::uint32_t x, std::uint32_t y, float* out) {
  constexpr float kTwoPowMinus32 = 0x1p-32f;
  constexpr auto kTwoPiTwoPowMinus32 = static_cast<float>(2.0 * std::numbers::pi * 0x1p-32);
  const float u = std::fma(static_cast<float>(x), kTwoPowMinus32, kTwoPowMinus32 / 2);
  const float v = std::fma(static_cast<float>(y), kTwoPiTwoPowMinus32, kTwoPiTwoPowMinus32 / 2);
  const float s = std::sqrt(-2.0f * std::log(u));
  out[0] = s * std::sin(v);
  out[1] = s * std::cos(v);
}

}  // namespace

std::int64_t cuda_card_threads(std::string_view name) {
  const auto card = std::ranges::find(kCudaCards, name, &CudaCard::name);
  if (card != kCudaCards.end()) return card->threads();
  std::string known;
  for (const CudaCard& each : kCudaCards)
    known += (known.empty() ? "" : ", ") + std::string(each.name);
  throw Error(ErrorCode::invalid_request, "unknown card \"" + std::string(name) + "\"",
              "CUDA noise", "known are " + known);
}

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key) {
  constexpr std::uint64_t kMultiplier0 = 0xD2511F53u;
  constexpr std::uint64_t kMultiplier1 = 0xCD9E8D57u;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = kMultiplier0 * counter[0];
    const std::uint64_t product1 = kMultiplier1 * counter[2];
    counter = {high_word(product1) ^ counter[1] ^ key[0], low_word(product1),
               high_word(product0) ^ counter[3] ^ key[1], low_word(product0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

PhiloxGenerator::PhiloxGenerator(std::uint64_t seed, std::int64_t card_threads)
    : seed_(seed), card_threads_(card_threads) {
  if (card_threads <= 0 || card_threads % kBlockThreads != 0) {
    throw Error(
        ErrorCode::invalid_request,
        "a card of " + std::to_string(card_threads) + " threads does not exist", "CUDA noise",
        "give multiprocessors times threads each, a multiple of " + std::to_string(kBlockThreads));
  }
}

// Thread t of T draws four numbers at a time, for the elements t, t + T, t + 2T, t + 3T; then the
// next four for those from t + 4T on.
Tensor PhiloxGenerator::randn(const Shape& shape, DType dtype) {
  const std::int64_t size = shape.elements();
  if (size >= kMaxElements) {
    throw Error(ErrorCode::invalid_request,
                std::to_string(size) + " elements are too many for one draw", "CUDA noise");
  }
  Tensor out = make_host_tensor(shape, dtype);
  if (size == 0) return out;

  const std::int64_t blocks = (size + kBlockThreads - 1) / kBlockThreads;
  const std::int64_t threads = std::min(blocks * kBlockThreads, card_threads_);
  const std::array<std::uint32_t, 2> key = {low_word(seed_), high_word(seed_)};
  std::uint64_t draw = offset_ / kUnroll;

  std::vector<float> values(static_cast<std::size_t>(size));
  for (std::int64_t first = 0; first < size; first += kUnroll * threads, ++draw) {
    for (std::int64_t thread = 0; thread < std::min(threads, size - first); ++thread) {
      const auto subsequence = static_cast<std::uint64_t>(thread);
      const auto words = philox4x32(
          {low_word(draw), high_word(draw), low_word(subsequence), high_word(subsequence)}, key);
      float normals[kUnroll];
      curand_box_muller(words[0], words[1], normals);
      curand_box_muller(words[2], words[3], normals + 2);
      for (std::int64_t k = 0; k < kUnroll; ++k) {
        const std::int64_t element = first + thread + k * threads;
        if (element < size) values[static_cast<std::size_t>(element)] = normals[k];
      }
    }
  }
  offset_ = draw * kUnroll;
  convert_from_float(values.data(), dtype, out.bytes(), values.size());
  return out;
}

}  // namespace flux2
