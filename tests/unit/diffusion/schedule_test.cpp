#include "diffusion/schedule.h"

#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "flux2/error.h"
#include "golden.h"

namespace flux2 {
namespace {

const SchedulerConfig kFlux2{};

std::vector<float> floats(const nlohmann::json& numbers) {
  std::vector<float> result;
  for (const auto& number : numbers)
    result.push_back(static_cast<float>(number.get<double>()));  // each was a float32
  return result;
}

ErrorCode error_of(const ScheduleRequest& request, const SchedulerConfig& config = kFlux2) {
  try {
    make_schedule(config, request);
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "no error";
  return ErrorCode::internal;
}

TEST(Schedule, EqualsDiffusersOnEveryGolden) {
  std::ifstream file(testing::golden_path("scheduler/schedules.json"));
  const auto rows = nlohmann::json::parse(file);
  int custom = 0;
  for (const auto& row : rows) {
    std::vector<double> sigmas;
    if (!row["custom_sigmas"].is_null()) {
      sigmas = row["custom_sigmas"].get<std::vector<double>>();
      ++custom;
    }
    const Schedule schedule = make_schedule(
        kFlux2,
        {.steps = row["num_inference_steps"], .tokens = row["tokens"], .custom_sigmas = sigmas});
    EXPECT_EQ(schedule.mu, row["mu"].get<double>()) << row;
    EXPECT_EQ(schedule.sigmas, floats(row["sigmas"])) << row;
    EXPECT_EQ(schedule.timesteps, floats(row["timesteps"])) << row;
  }
  EXPECT_EQ(rows.size(), 58u);
  EXPECT_GT(custom, 0);
}

TEST(Schedule, MuJumpsAbove4300Tokens) {
  EXPECT_NEAR(empirical_mu(4096, 50), 2.0233511571, 1e-10);
  EXPECT_NEAR(empirical_mu(1024, 4), 2.0306897079, 1e-10);
  EXPECT_NEAR(empirical_mu(4352, 4), 1.1933297, 1e-12);
  EXPECT_EQ(empirical_mu(4301, 4), empirical_mu(4301, 50));
  EXPECT_NE(empirical_mu(4300, 4), empirical_mu(4300, 50));
  EXPECT_GT(empirical_mu(4300, 4), empirical_mu(4301, 4) + 1.0);
}

TEST(Schedule, StartsAtOneAndEndsAtZero) {
  for (const int steps : {1, 2, 3, 7, 28, 50, 1000}) {
    const Schedule schedule = make_schedule(kFlux2, {.steps = steps, .tokens = 256});
    ASSERT_EQ(schedule.steps(), steps);
    ASSERT_EQ(schedule.sigmas.size(), static_cast<std::size_t>(steps) + 1);
    EXPECT_EQ(schedule.sigmas.front(), 1.0f);
    EXPECT_EQ(schedule.sigmas.back(), 0.0f);
    for (std::size_t i = 1; i < schedule.sigmas.size(); ++i)
      EXPECT_LT(schedule.sigmas[i], schedule.sigmas[i - 1]);
  }
}

TEST(Schedule, CustomSigmasKeepTheMuOfTheStepsArgument) {
  const std::vector<double> even = {1.0, 0.75, 0.5, 0.25};
  const Schedule four = make_schedule(kFlux2, {.steps = 4, .tokens = 4096});
  const Schedule given =
      make_schedule(kFlux2, {.steps = 50, .tokens = 4096, .custom_sigmas = even});
  EXPECT_EQ(given.steps(), 4);
  EXPECT_EQ(given.mu, empirical_mu(4096, 50));
  EXPECT_NE(given.sigmas, four.sigmas);
  EXPECT_EQ(make_schedule(kFlux2, {.steps = 4, .tokens = 4096, .custom_sigmas = even}).sigmas,
            four.sigmas);
}

// As Diffusers 0.42.1 computes them.
TEST(Schedule, OddCustomSigmasAreTaken) {
  const std::vector<double> odd = {0.5, 0.75, 0.0, 1.25};
  const Schedule schedule =
      make_schedule(kFlux2, {.steps = 50, .tokens = 4096, .custom_sigmas = odd});
  EXPECT_EQ(schedule.sigmas,
            (std::vector{0x1.c43658p-1f, 0x1.ea6368p-1f, 0.0f, 0x1.06f3fep+0f, 0.0f}));
  EXPECT_EQ(schedule.timesteps,
            (std::vector{0x1.b99d12p+9f, 0x1.dee514p+9f, 0.0f, 0x1.00ca46p+10f}));
}

TEST(Schedule, OtherShiftsEqualDiffusers) {
  const Schedule fixed =
      make_schedule({.shift = 3.0, .time_shift = TimeShift::fixed}, {.steps = 4, .tokens = 4096});
  EXPECT_EQ(fixed.sigmas, (std::vector{1.0f, 0x1.cccccc0000000p-1f, 0.75f, 0.5f, 0.0f}));
  EXPECT_EQ(fixed.timesteps, (std::vector{1000.0f, 900.0f, 750.0f, 500.0f}));
  const Schedule linear =
      make_schedule({.shift = 3.0, .time_shift = TimeShift::linear}, {.steps = 4, .tokens = 4096});
  EXPECT_EQ(linear.sigmas,
            (std::vector{1.0f, 0x1.bef8dap-1f, 0x1.646ec4p-1f, 0x1.bb6944p-2f, 0.0f}));
  EXPECT_EQ(linear.timesteps,
            (std::vector{1000.0f, 0x1.b47f04p+9f, 0x1.5c142cp+9f, 0x1.b104ccp+8f}));
}

TEST(Schedule, RefusesWhatCannotWork) {
  const std::vector<double> negative = {1.0, -0.5};
  const std::vector<double> nan = {std::numeric_limits<double>::quiet_NaN()};
  const std::vector<double> infinite = {std::numeric_limits<double>::infinity(), 0.5};
  const std::vector<double> huge = {1e300};
  EXPECT_EQ(error_of({.steps = 0, .tokens = 16}), ErrorCode::invalid_request);
  EXPECT_EQ(error_of({.steps = -3, .tokens = 16}), ErrorCode::invalid_request);
  EXPECT_EQ(error_of({.steps = kMaxSteps + 1, .tokens = 16}), ErrorCode::invalid_request);
  EXPECT_EQ(error_of({.steps = 4, .tokens = 0}), ErrorCode::invalid_request);
  for (const auto& sigmas : {negative, nan, infinite, huge}) {
    EXPECT_EQ(error_of({.steps = 4, .tokens = 16, .custom_sigmas = sigmas}),
              ErrorCode::invalid_request);
  }
  EXPECT_EQ(error_of({.steps = 4, .tokens = 16}, {.shift = 0.0, .time_shift = TimeShift::fixed}),
            ErrorCode::bad_file);
  EXPECT_EQ(error_of({.steps = 4, .tokens = 16}, {.num_train_timesteps = 0}), ErrorCode::bad_file);
}

TEST(FirstStep, TruncatesAsPython) {
  struct Row {
    int steps;
    double strength;
    int first;
  };
  for (const Row& row :
       {Row{50, 0.8, 10}, Row{50, 1.0, 0}, Row{4, 0.6, 1}, Row{10, 0.3, 7}, Row{7, 0.9, 0},
        Row{100, 0.29, 71}, Row{28, 0.85, 4}, Row{3, 0.34, 1}, Row{10, 0.7, 3}, Row{50, 0.58, 21}})
    EXPECT_EQ(first_step(row.steps, row.strength), row.first) << row.steps << " " << row.strength;
}

TEST(FirstStep, Errors) {
  EXPECT_THROW(first_step(50, 0.0), Error);
  EXPECT_THROW(first_step(50, -0.1), Error);
  EXPECT_THROW(first_step(50, 1.1), Error);
  EXPECT_THROW(first_step(50, std::numeric_limits<double>::quiet_NaN()), Error);
}

}  // namespace
}  // namespace flux2
