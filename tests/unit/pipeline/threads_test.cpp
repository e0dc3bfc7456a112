// Any number of threads draws the same picture within rounding, and the same number the same bytes.
#include <gtest/gtest.h>

#include <cmath>

#include "flux2/pipeline.h"

namespace flux2 {
namespace {

constexpr int kThreads[] = {1, 2, 3, 5, 8, 16, 33, 64};

FloatArray latents_with(Compute compute, int threads, Pinning pinning = Pinning::off) {
  const Pipeline pipeline =
      Pipeline::load(std::string(FLUX2_SOURCE_DIR) + "/tests/goldens/data/checkpoints/tiny-klein",
                     {.compute = compute, .threads = threads, .pinning = pinning});
  EXPECT_EQ(pipeline.threads(), threads);
  Request request;
  request.prompt = {"a cat"};
  request.width = 64;
  request.height = 48;
  request.num_inference_steps = 2;
  request.seeds = {1};
  request.max_sequence_length = 32;
  return pipeline.generate(request).latents;
}

double relative_distance(const FloatArray& a, const FloatArray& b) {
  EXPECT_EQ(a.values.size(), b.values.size());
  double difference = 0;
  double norm = 0;
  for (std::size_t i = 0; i < b.values.size(); ++i) {
    difference += std::pow(a.values[i] - b.values[i], 2);
    norm += std::pow(b.values[i], 2);
  }
  return std::sqrt(difference / norm);
}

// Sums in another order differ by f32's rounding; where a matmul's inputs are rounded afterwards, a
// few of those fall the other way.
struct Case {
  Compute compute;
  double tolerance;
};

class Threads : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    try {
      alone_ = latents_with(GetParam().compute, 1);
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
  }
  FloatArray alone_;
};

TEST_P(Threads, DrawTheSamePicture) {
  for (const int threads : kThreads) {
    const FloatArray latents = latents_with(GetParam().compute, threads);
    EXPECT_LE(relative_distance(latents, alone_), GetParam().tolerance) << threads;
    EXPECT_EQ(latents_with(GetParam().compute, threads).values, latents.values) << threads;
    EXPECT_EQ(latents_with(GetParam().compute, threads, Pinning::on).values, latents.values)
        << threads;
  }
}

INSTANTIATE_TEST_SUITE_P(EveryType, Threads,
                         testing::Values(Case{Compute::f32, 1e-5}, Case{Compute::bf16, 1e-2},
                                         Case{Compute::int8, 1e-2}));

}  // namespace
}  // namespace flux2
