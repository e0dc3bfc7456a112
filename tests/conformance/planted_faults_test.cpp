#include <gtest/gtest.h>

#include <algorithm>
#include <string_view>

#include "conformance/planted_faults.h"
#include "conformance/suites.h"

// Tolerances that nothing can break prove nothing: every planted fault must be caught, in f32 and
// where operands are bf16.
namespace flux2::conformance {
namespace {

const Suite& suite_of(const Fault& fault) {
  return *std::find_if(suites().begin(), suites().end(), [&](const Suite& suite) {
    return suite.name == std::string_view(fault.suite);
  });
}

DType operands_of(ComputeType compute) {
  return compute == ComputeType::bf16 ? DType::bf16 : DType::f32;
}

class PlantedFault : public testing::TestWithParam<std::tuple<Fault, ComputeType>> {};

TEST_P(PlantedFault, IsCaught) {
  const auto& [fault, compute] = GetParam();
  const auto make = fault.make;
  const DType operands = operands_of(compute);
  Judge judge(
      {.name = fault.name, .compute = compute, .needs = {}, .make = [=] { return make(operands); }},
      Scope::quick);
  suite_of(fault).run(judge);
  EXPECT_GT(judge.failures(), 0);
  RecordProperty("checks", judge.checks());
  RecordProperty("caught", judge.failures());
}

INSTANTIATE_TEST_SUITE_P(EveryOperation, PlantedFault,
                         testing::Combine(testing::ValuesIn(faults()),
                                          testing::Values(ComputeType::f32, ComputeType::bf16)),
                         [](const auto& info) {
                           const bool bf16 = std::get<1>(info.param) == ComputeType::bf16;
                           return std::get<0>(info.param).suite + "_" +
                                  std::get<0>(info.param).name + (bf16 ? "_bf16" : "_f32");
                         });

TEST(PlantedFault, SoundOperationsPassInBothTypes) {
  for (const ComputeType compute : {ComputeType::f32, ComputeType::bf16}) {
    const DType operands = operands_of(compute);
    Judge judge({.name = "sound",
                 .compute = compute,
                 .needs = {},
                 .make = [=] { return make_sound_ops(operands); }},
                Scope::quick);
    for (const Suite& suite : suites())
      suite.run(judge);
    EXPECT_EQ(judge.failures(), 0) << judge.report();
  }
}

TEST(PlantedFault, EveryOperationHasOne) {
  for (const Suite& suite : suites()) {
    if (suite.name == std::string_view("storage")) continue;
    EXPECT_TRUE(std::any_of(faults().begin(), faults().end(), [&](const Fault& fault) {
      return fault.suite == suite.name;
    })) << suite.name;
  }
}

}  // namespace

void PrintTo(const Fault& fault, std::ostream* stream) {
  *stream << fault.name;
}

}  // namespace flux2::conformance
