#include "checkpoint/random_weights.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "checkpoint/safetensors.h"

namespace flux2 {
namespace {

struct Model {
  Weight qk, conv, embedding, left_out;
  Tensor norm;
  WeightsTable table;

  Model() {
    const WeightsScope block = WeightsScope(table).in("block");
    block.linear(qk, {{"q.weight", {64, 1024}}, {"k.weight", {64, 1024}}});
    block.conv2d(conv, "conv", 32, 16, 3);
    block.embedding(embedding, {"table", {100, 64}});
    block.vector(norm, {"norm.weight", {512}});
    block.unused({"tracked", {}});
    block.linear(left_out, {{"skipped.weight", {8, 8}}});
    table.skip("block.skipped");
  }
};

std::vector<float> values_in(const Checkpoint& checkpoint, const std::string& name) {
  const StoredTensor* tensor = checkpoint.find(name);
  if (tensor == nullptr) {
    ADD_FAILURE() << name << " is missing";
    return {0.0f};
  }
  return to_vector(to_host_tensor(*tensor));
}

double mean_of(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values)
    sum += value;
  return sum / static_cast<double>(values.size());
}

double deviation_of(const std::vector<float>& values) {
  const double mean = mean_of(values);
  double sum = 0;
  for (const float value : values)
    sum += (value - mean) * (value - mean);
  return std::sqrt(sum / static_cast<double>(values.size()));
}

TEST(RandomCheckpoint, FitsTheTable) {
  Model model;
  const Checkpoint checkpoint = random_checkpoint(model.table, "random");
  EXPECT_NO_THROW(model.table.check(checkpoint));
  EXPECT_EQ(checkpoint.find("block.tracked"), nullptr);
  EXPECT_EQ(checkpoint.find("block.skipped.weight"), nullptr);
  EXPECT_EQ(checkpoint.path(), "random");
}

TEST(RandomCheckpoint, NumbersHaveTheSizeOfARealModel) {
  Model model;
  const Checkpoint checkpoint = random_checkpoint(model.table, "random");
  const std::pair<const char*, double> deviations[] = {
      {"block.q.weight", 1.0 / 32},
      {"block.conv.weight", 1.0 / 12},
      {"block.table", 1.0},
      {"block.norm.weight", 0.05},
  };
  for (const auto& [name, deviation] : deviations) {
    const std::vector<float> values = values_in(checkpoint, name);
    EXPECT_NEAR(deviation_of(values) / deviation, 1.0, 0.1) << name;
  }
  EXPECT_NEAR(mean_of(values_in(checkpoint, "block.q.weight")), 0.0, 1e-3);
  EXPECT_NEAR(mean_of(values_in(checkpoint, "block.norm.weight")), 1.0, 0.02);
  EXPECT_NEAR(mean_of(values_in(checkpoint, "block.conv.bias")), 0.0, 0.03);
}

TEST(RandomCheckpoint, RepeatsAndDiffers) {
  Model model;
  const Checkpoint once = random_checkpoint(model.table, "random");
  const Checkpoint again = random_checkpoint(model.table, "random");
  EXPECT_EQ(values_in(once, "block.q.weight"), values_in(again, "block.q.weight"));
  EXPECT_NE(values_in(once, "block.q.weight"), values_in(once, "block.k.weight"));
}

}  // namespace
}  // namespace flux2
