#include "diffusion/noise.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "diffusion/generator.h"
#include "diffusion/philox.h"
#include "flux2/error.h"
#include "golden.h"

namespace flux2 {
namespace {

using testing::first_difference;
using testing::GoldenFile;

using Seeds = std::vector<std::uint64_t>;

TEST(InitialNoise, EqualsDiffusersOnEveryGolden) {
  const GoldenFile goldens("rng/randn.safetensors");
  int cases = 0;
  for (const std::uint64_t seed : {0ull, 1ull, 42ull, 4294967295ull, 4294967303ull}) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const std::string name = std::string("latents.") + (dtype == DType::f32 ? "f32" : "bf16") +
                               ".seed" + std::to_string(seed) + ".batch2_";
      for (const auto& [kind, seeds] : {std::pair{"one_generator", Seeds{seed}},
                                        std::pair{"generator_list", Seeds{seed, seed + 1}}}) {
        const Tensor noise = initial_noise({.dtype = dtype}, seeds, {2, 128, 2, 3});
        EXPECT_EQ(noise.dtype(), DType::f32);
        EXPECT_EQ(first_difference(to_vector(noise), goldens.floats(name + kind)), -1)
            << name << kind;
        ++cases;
      }
    }
  }
  EXPECT_EQ(cases, 20);
}

TEST(InitialNoise, OneSeedPerPictureGivesEachItsOwn) {
  for (const NoiseKind kind :
       {NoiseKind::torch_cpu, NoiseKind::torch_cpu_legacy, NoiseKind::torch_cuda}) {
    const NoiseSource source{.kind = kind, .dtype = DType::bf16};
    const Tensor both = initial_noise(source, Seeds{8, 9}, {2, 128, 3, 4});
    EXPECT_EQ(to_vector(both[0]), to_vector(initial_noise(source, Seeds{8}, {1, 128, 3, 4})));
    EXPECT_EQ(to_vector(both[1]), to_vector(initial_noise(source, Seeds{9}, {1, 128, 3, 4})));
  }
}

TEST(InitialNoise, KindsDiffer) {
  const auto draw = [](NoiseKind kind, DType dtype) {
    return to_vector(initial_noise({.kind = kind, .dtype = dtype}, Seeds{1}, {1, 128, 2, 2}));
  };
  const std::vector<float> current = draw(NoiseKind::torch_cpu, DType::bf16);
  EXPECT_NE(current, draw(NoiseKind::torch_cpu_legacy, DType::bf16));
  EXPECT_NE(current, draw(NoiseKind::torch_cuda, DType::bf16));
  EXPECT_EQ(draw(NoiseKind::torch_cpu, DType::f32), draw(NoiseKind::torch_cpu_legacy, DType::f32));
}

TEST(InitialNoise, CudaUsesTheCard) {
  const NoiseSource source{.kind = NoiseKind::torch_cuda, .card_threads = 512};
  EXPECT_EQ(to_vector(initial_noise(source, Seeds{6}, {1, 128, 4, 4})),
            to_vector(PhiloxGenerator(6, 512).randn({1, 128, 4, 4}, DType::f32)));
}

TEST(InitialNoise, Errors) {
  const auto code = [](const NoiseSource& source, const Seeds& seeds) {
    try {
      initial_noise(source, seeds, {3, 128, 2, 2});
    } catch (const Error& error) {
      return error.code();
    }
    ADD_FAILURE() << "no error";
    return ErrorCode::internal;
  };
  EXPECT_EQ(code({}, {}), ErrorCode::invalid_request);
  EXPECT_EQ(code({}, {1, 2}), ErrorCode::invalid_request);
  EXPECT_EQ(code({}, {1, 2, 3, 4}), ErrorCode::invalid_request);
  EXPECT_EQ(code({.dtype = DType::f64}, {1}), ErrorCode::invalid_request);
  EXPECT_EQ(code({.kind = NoiseKind::torch_cuda, .card_threads = 100}, {1}),
            ErrorCode::invalid_request);
}

}  // namespace
}  // namespace flux2
