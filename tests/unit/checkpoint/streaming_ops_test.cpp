// Layers that are prepared when they are used compute the same numbers.
#include "checkpoint/streaming_ops.h"

#include <gtest/gtest.h>

#include <array>
#include <numeric>

#include "backends/reference/reference_ops.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/weights_table.h"
#include "support.h"

namespace flux2::test {
namespace {

constexpr std::int64_t kLayers = 4;
constexpr std::int64_t kWidth = 8;

struct Chain {
  std::array<Weight, kLayers> layers;
  Weight sensitive;
  WeightsTable table;
  TemporaryFolder folder;

  Chain() {
    const WeightsScope scope(table);
    std::map<std::string, Tensor> tensors;
    const auto add = [&](const std::string& name, float first) {
      std::vector<float> values(kWidth * kWidth);
      std::iota(values.begin(), values.end(), first);
      for (float& value : values)
        value = 0.01f * static_cast<float>(static_cast<int>(value) % 37 - 18);
      tensors[name] = make_host_tensor({kWidth, kWidth}, values);
    };
    for (std::int64_t i = 0; i < kLayers; ++i) {
      const std::string name = "layer" + std::to_string(i);
      scope.tolerant().linear(layers[static_cast<std::size_t>(i)], {{name, {kWidth, kWidth}}});
      add(name, static_cast<float>(100 * i));
    }
    scope.linear(sensitive, {{"sensitive", {kWidth, kWidth}}});
    add("sensitive", 7);
    write_safetensors(folder / "model.safetensors", tensors);
  }

  std::vector<float> run(Ops& ops) const {
    Tensor x = make_host_tensor({1, 2, kWidth});
    std::iota(x.f32(), x.f32() + x.elements(), 1.0f);
    x = ops.upload(x, Role::stream);
    for (const Weight& layer : layers) {
      const Tensor y = ops.linear(x, layer, Role::stream);
      ops.linear_add_gated(y, layer, {}, x);  // the same layer again
      x = ops.linear(x, sensitive, Role::stream);
    }
    return to_vector(ops.download(x));
  }
};

std::vector<float> run_streamed(double share) {
  Chain chain;
  StreamingOps ops(make_reference_ops());
  ops.stream(share);
  chain.table.load(Checkpoint::open(chain.folder.path(), "model"), ops);
  EXPECT_EQ(ops.streamed_elements(), share * kLayers * kWidth * kWidth);
  ops.stream(0);
  const std::vector<float> once = chain.run(ops);
  EXPECT_EQ(chain.run(ops), once) << "the second pass";
  ops.release();
  EXPECT_EQ(chain.run(ops), once) << "after releasing what was used last";
  return once;
}

TEST(StreamingOps, TheSameNumbersWhateverIsStreamed) {
  const std::vector<float> resident = run_streamed(0);
  EXPECT_EQ(run_streamed(0.5), resident);
  EXPECT_EQ(run_streamed(1), resident);
}

TEST(StreamingOps, AFileThatIsCutMeanwhileIsAnError) {
  Chain chain;
  StreamingOps ops(make_reference_ops());
  ops.stream(1);
  chain.table.load(Checkpoint::open(chain.folder.path(), "model"), ops);
  std::filesystem::resize_file(chain.folder / "model.safetensors", 100);
  EXPECT_NE(refusal_of([&] { chain.run(ops); }), "");
}

}  // namespace
}  // namespace flux2::test
