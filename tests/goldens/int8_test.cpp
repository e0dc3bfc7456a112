// The transformer with its blocks in 8-bit integers against Diffusers' float32.
#include <gtest/gtest.h>

#include "backends/cpu/cpu_ops.h"
#include "transformer_golden.h"

namespace flux2::golden {
namespace {

// Each product is off by about 1 % where its numbers are normally distributed: half a step of 127
// to the largest of some thousand, for inputs and weights. The residual stream averages that out.
constexpr double kInt8Tolerance = 0.03;
// And a model that nothing was rounded in would pass for the wrong reason.
constexpr double kLeastError = 1e-4;

class Int8Forward : public testing::TestWithParam<std::tuple<std::string, Isa>> {};

TEST_P(Int8Forward, VelocityIsClose) {
  const auto& [checkpoint, isa] = GetParam();
  if (best_isa() < isa) GTEST_SKIP() << "this processor lacks " << name_of(isa);
  const auto ops = make_cpu_ops({.compute = ComputeType::int8, .most = isa});
  const GoldenFile file("transformer/" + checkpoint + ".safetensors");
  const Transformer model = load_transformer(checkpoint, transformer_config(checkpoint), *ops);
  const Tensor v = velocity(*ops, model, Forward(file, ""));
  const double error = relative_error(v, file.tensor("output"));
  RecordProperty("relative_error", std::to_string(error));
  EXPECT_LT(error, kInt8Tolerance);
  EXPECT_GT(error, kLeastError);
}

INSTANTIATE_TEST_SUITE_P(Goldens, Int8Forward,
                         testing::Combine(testing::Values("tiny-klein", "tiny-dev", "head128"),
                                          testing::Values(Isa::avx2, Isa::avx512, Isa::avx512_vnni,
                                                          Isa::avx512_bf16, Isa::avx512_amx)));

}  // namespace
}  // namespace flux2::golden
