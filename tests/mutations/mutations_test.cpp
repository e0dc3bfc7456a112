// Every golden can fail: deliberate faults, each noticed by the golden that is there for it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "golden.h"
#include "mutation.h"

namespace flux2::mutations {
namespace {

std::vector<Mutation> all_mutations() {
  std::vector<Mutation> all;
  for (const auto& part :
       {transformer_mutations(), text_mutations(), vae_mutations(), diffusion_mutations()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

TEST(Mutations, EachIsNoticed) {
  // A fault must stand out from what rounding explains, not merely exceed it.
  constexpr double kLeastMargin = 25;
  const std::vector<Mutation> mutations = all_mutations();
  ASSERT_GE(mutations.size(), 15u);
  fmt::print("{:<48} {:<36} {:>10} {:>9}\n", "fault", "golden", "error", "margin");
  for (const Mutation& mutation : mutations) {
    const double error = mutation.error();
    const double margin = error / golden::kTolerance;
    fmt::print("{:<48} {:<36} {:>10.2e} {:>8.0f}x\n", mutation.fault, mutation.golden, error,
               margin);
    EXPECT_GT(margin, kLeastMargin) << mutation.fault;
  }
}

}  // namespace
}  // namespace flux2::mutations
