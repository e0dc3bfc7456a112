#include <gtest/gtest.h>

#include <limits>
#include <numeric>

#include "backends/reference/reference_ops.h"
#include "flux2/error.h"
#include "ops/checking_ops.h"
#include "ops/timing_ops.h"
#include "ops/tracing_ops.h"

namespace flux2 {
namespace {

Tensor counting(const Shape& shape) {
  std::vector<float> values(static_cast<std::size_t>(shape.elements()));
  std::iota(values.begin(), values.end(), 1.0f);
  return make_host_tensor(shape, values);
}

StoredTensor stored(const Tensor& tensor) {
  return {.name = "w",
          .file = "f",
          .dtype = DType::f32,
          .shape = tensor.shape(),
          .bytes = {tensor.bytes(), bytes_for(tensor.shape(), DType::f32)},
          .owner = std::make_shared<Tensor>(tensor)};
}

Weight identity(Ops& ops) {
  const StoredTensor eye = stored(make_host_tensor({2, 2}, std::vector<float>{1, 0, 0, 1}));
  return ops.prepare_linear({&eye, 1}, {});
}

// Doubles one element of what the reference computes.
class FaultyOps final : public ObservedOps {
 public:
  using ObservedOps::ObservedOps;
  float factor = 2;

 private:
  void observe(const OpCall& call, const std::function<void()>& run) override {
    run();
    float& element = call.outputs.front().f32()[0];
    element *= factor;
  }
};

// Calls every operation once.
void call_everything(Ops& ops) {
  const StoredTensor kernel = stored(counting({3, 2, 1, 1}));
  const StoredTensor table = stored(counting({4, 2}));
  const ConvGeometry point = {1, 0, 0, 0, 0};
  const Tensor x = ops.upload(counting({1, 3, 2}), Role::stream);
  const Tensor heads = ops.upload(counting({1, 3, 1, 2}), Role::stream);
  const Tensor row = ops.upload(counting({1, 2}), Role::stream);
  const Tensor vector = ops.upload(counting({2}), Role::stream);
  const Tensor angles = ops.upload(counting({3, 1}), Role::stream);
  const Tensor picture = x.view({1, 3, 1, 2});
  const Tensor out = ops.empty({1, 3, 2}, Role::stream);
  const Tensor wide = ops.upload(counting({1, 3, 1, 3}), Role::stream);
  const Weight square = ops.prepare_conv2d(stored(counting({2, 2, 3, 3})), {});
  const Weight linear = identity(ops), conv = ops.prepare_conv2d(kernel, {});
  ops.linear(x, linear, out);
  ops.linear_add_gated(x, linear, row, out);
  ops.attention(heads, heads, heads, {}, out.view({1, 3, 1, 2}));
  ops.conv2d(picture, conv, point, wide);
  ops.conv2d_add(picture, conv, point, wide);
  ops.adaln(x, row, row, 1e-6f, out);
  ops.rms_norm(x, vector, 1e-6f, out);
  ops.rms_norm_rope(heads, vector, 1e-6f, {angles, angles}, RopeLayout::pairs);
  ops.group_norm(picture, {vector, vector, 1, 1e-6f}, Activation::silu, out.view({1, 3, 1, 2}));
  ops.swiglu(x, ops.empty({1, 3, 1}, Role::stream));
  ops.activate(x, Activation::gelu, out);
  ops.add_gated(x, {}, out);
  const std::int32_t ids[] = {3, 0, 1};
  ops.embedding(ids, ops.prepare_embedding(table), out.view({3, 2}));
  ops.upsample_nearest(picture, ops.empty({1, 6, 2, 2}, Role::stream));
  ops.upsample_conv2d(picture, square, ops.empty({1, 6, 2, 2}, Role::stream));
  ops.copy(x, out);
}

constexpr int kOperations = 16;

TEST(TimingOps, CountsEveryOperationOnce) {
  const auto reference = make_reference_ops();
  TimingOps timing(*reference);
  call_everything(timing);
  const std::vector<OpTiming> report = timing.report();
  EXPECT_EQ(report.size(), kOperations);
  for (const OpTiming& row : report) {
    EXPECT_EQ(row.calls, 1) << row.name;
    EXPECT_GT(row.bytes, 0) << row.name;
    EXPECT_GE(row.seconds, 0) << row.name;
  }
  EXPECT_EQ(timing.total().calls, kOperations);
  timing.clear();
  EXPECT_TRUE(timing.report().empty());
}

TEST(TimingOps, CountsFlopsAndBytes) {
  const auto reference = make_reference_ops();
  TimingOps timing(*reference);
  const Tensor x = counting({1, 3, 2});
  timing.linear(x, identity(timing), timing.empty({1, 3, 2}, Role::stream));
  EXPECT_EQ(timing.total().flops, 2 * 3 * 2 * 2);
  EXPECT_EQ(timing.total().bytes, 4 * (6 + 6 + 4));
}

TEST(TimingOps, CountsOnlyTheKeysThatAreSeen) {
  const auto reference = make_reference_ops();
  TimingOps timing(*reference);
  const Tensor x = counting({1, 3, 1, 2});
  const AttentionMask causal = {.causality = Causality::causal, .keys = {}, .bias = {}};
  timing.attention(x, x, x, causal, timing.empty(x.shape(), Role::stream));
  EXPECT_EQ(timing.total().flops, 4 * (1 + 2 + 3) * 2);
  timing.clear();
  const AttentionMask padded = {.causality = Causality::full, .keys = {{1, 2}}, .bias = {}};
  timing.attention(x, x, x, padded, timing.empty(x.shape(), Role::stream));
  EXPECT_EQ(timing.total().flops, 4 * 3 * 2);
}

TEST(TracingOps, KeepsMarkedTensorsAsTheyWere) {
  const auto reference = make_reference_ops();
  TracingOps tracing(*reference);
  const Tensor x = counting({2, 2});
  tracing.mark("x", x.slice(1, 1, 1));
  x.f32()[1] = 9;
  tracing.mark("x", x);
  EXPECT_EQ(to_vector(tracing.trace("x")), std::vector<float>({2, 4}));
  EXPECT_EQ(to_vector(tracing.trace("x#2")), std::vector<float>({1, 9, 3, 4}));
  EXPECT_EQ(tracing.traces().size(), 2u);
  tracing.clear();
  EXPECT_TRUE(tracing.traces().empty());
}

TEST(TracingOps, KeepsOnlyWhatIsWanted) {
  const auto reference = make_reference_ops();
  TracingOps tracing(*reference, [](std::string_view name) { return name == "b"; });
  tracing.mark("a", counting({1}));
  tracing.mark("b", counting({1}));
  EXPECT_EQ(tracing.traces().count("a"), 0u);
  EXPECT_EQ(tracing.traces().count("b"), 1u);
}

TEST(TracingOps, NamesWhatWasMarkedWhenAskedForSomethingElse) {
  const auto reference = make_reference_ops();
  TracingOps tracing(*reference);
  tracing.mark("known", counting({1}));
  try {
    tracing.trace("unknown");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("unknown"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("marked: known"), std::string::npos);
  }
}

TEST(CheckingOps, FindsNoDifferenceBetweenTwoReferences) {
  const auto tested = make_reference_ops(), judge = make_reference_ops();
  CheckingOps checking(*tested, *judge, {.tolerance = 0, .on_excess = OnExcess::fail});
  call_everything(checking);
  EXPECT_EQ(checking.differences().size(), kOperations);
  for (const auto& [name, difference] : checking.differences()) {
    EXPECT_EQ(difference.calls, 1) << name;
    EXPECT_EQ(difference.largest, 0) << name;
  }
}

TEST(CheckingOps, CollectsDifferencesOfEveryOperation) {
  const auto reference = make_reference_ops(), judge = make_reference_ops();
  FaultyOps faulty(*reference);
  CheckingOps checking(faulty, *judge, {.tolerance = 1e-3, .on_excess = OnExcess::collect});
  call_everything(checking);
  for (const auto& [name, difference] : checking.differences()) {
    EXPECT_EQ(difference.excesses, 1) << name;
    EXPECT_GT(difference.largest, 1e-3) << name;
    EXPECT_FALSE(difference.worst.empty()) << name;
  }
}

TEST(CheckingOps, ThrowsWhenAskedTo) {
  const auto reference = make_reference_ops(), judge = make_reference_ops();
  FaultyOps faulty(*reference);
  CheckingOps checking(faulty, *judge, {.tolerance = 1e-3, .on_excess = OnExcess::fail});
  const Tensor x = counting({2, 2});
  EXPECT_THROW(checking.copy(x, checking.empty({2, 2}, Role::stream)), Error);
}

TEST(CheckingOps, CountsANumberThatIsNoneAsInfinitelyFar) {
  const auto reference = make_reference_ops(), judge = make_reference_ops();
  FaultyOps faulty(*reference);
  faulty.factor = std::numeric_limits<float>::quiet_NaN();
  CheckingOps checking(faulty, *judge);
  checking.copy(counting({2, 2}), checking.empty({2, 2}, Role::stream));
  EXPECT_EQ(checking.differences().at("copy").largest, std::numeric_limits<double>::infinity());
}

TEST(ReferenceOps, RefusesWeightsThatAreNotNumbers) {
  const auto reference = make_reference_ops();
  StoredTensor weight = stored(counting({2, 2}));
  weight.dtype = DType::i32;
  try {
    reference->prepare_linear({&weight, 1}, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_file);
    EXPECT_EQ(error.where(), "f");
  }
}

}  // namespace
}  // namespace flux2
