#include <gtest/gtest.h>

#include "conformance/suites.h"

namespace flux2::conformance {
namespace {

class Conformance : public testing::TestWithParam<std::tuple<Suite, Backend>> {};

TEST_P(Conformance, AgreesWithTheReference) {
  const auto& [suite, backend] = GetParam();
  const std::string reason = reason_to_skip(backend);
  if (!reason.empty()) GTEST_SKIP() << backend.name << ": " << reason;
  Judge judge(backend);
  suite.run(judge);
  EXPECT_GT(judge.checks(), 0);
  EXPECT_EQ(judge.failures(), 0) << "of " << judge.checks() << " checks:\n" << judge.report();
  EXPECT_LE(judge.worst_ratio(), 1.0);
  RecordProperty("checks", judge.checks());
  RecordProperty("worst_ratio", std::to_string(judge.worst_ratio()));
}

std::string test_name(const testing::TestParamInfo<std::tuple<Suite, Backend>>& info) {
  return std::string(std::get<0>(info.param).name) + "_on_" + std::get<1>(info.param).name;
}

INSTANTIATE_TEST_SUITE_P(EveryOperation, Conformance,
                         testing::Combine(testing::ValuesIn(suites()),
                                          testing::ValuesIn(backends())),
                         test_name);

}  // namespace

// What gtest prints for a parameter.
void PrintTo(const Suite& suite, std::ostream* stream) {
  *stream << suite.name;
}
void PrintTo(const Backend& backend, std::ostream* stream) {
  *stream << backend.name;
}

}  // namespace flux2::conformance
