// flux2::bench: what a report holds. How long something takes is not tested.
#include "flux2/bench.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "pipeline/random_model.h"

namespace flux2 {
namespace {

BenchOptions small_bench(const std::string& model) {
  BenchOptions options;
  options.model = std::string(FLUX2_SOURCE_DIR) + "/tests/goldens/data/checkpoints/" + model;
  options.width = options.height = 64;
  options.steps = 3;
  options.text_tokens = 32;
  options.pipeline = {.compute = Compute::f32, .threads = 1};
  options.ceilings = BenchOptions::Ceilings::skip;
  return options;
}

const OpCost* find(const StageCost& stage, const std::string& name) {
  const auto found = std::find_if(stage.ops.begin(), stage.ops.end(),
                                  [&](const OpCost& op) { return op.name == name; });
  return found == stage.ops.end() ? nullptr : &*found;
}

TEST(Bench, ReportsEveryStage) {
  for (const char* model : {"tiny-klein", "tiny-dev", "tiny-klein-base"}) {
    const BenchReport report = bench(small_bench(model));
    EXPECT_EQ(report.model, model);
    EXPECT_EQ(report.compute, Compute::f32);
    EXPECT_EQ(report.threads, 1);
    EXPECT_EQ(report.width, 64);
    EXPECT_EQ(report.text_tokens, 32);
    EXPECT_EQ(report.step_seconds.size(), 3U);
    for (const double seconds :
         {report.seconds_load_text, report.seconds_load_transformer, report.seconds_load_vae,
          report.text.seconds, report.denoise.seconds, report.decode.seconds,
          report.seconds_per_step()}) {
      EXPECT_GT(seconds, 0) << model;
    }
    EXPECT_GT(report.peak_anonymous_bytes, 0);
    EXPECT_GE(report.peak_memory_bytes, report.peak_anonymous_bytes);
    EXPECT_FALSE(report.ceilings.has_value());
    EXPECT_FALSE(report.denoise.floor_seconds.has_value());
  }
}

TEST(Bench, CountsOperations) {
  const BenchReport report = bench(small_bench("tiny-klein"));
  // 2 double-stream and 3 single-stream blocks, one attention each, 3 steps; 32 + 16 tokens of
  // 2 heads of 32.
  const OpCost* attention = find(report.denoise, "attention");
  ASSERT_NE(attention, nullptr);
  EXPECT_EQ(attention->calls, 5 * 3);
  EXPECT_EQ(attention->flops, 5 * 3 * 4.0 * 48 * 48 * 64);
  EXPECT_NE(find(report.decode, "conv2d"), nullptr);
  EXPECT_EQ(find(report.decode, "linear_add_gated")->calls, 1);
  EXPECT_EQ(find(report.text, "attention")->calls, 27);
  double flops = 0;
  for (const OpCost& op : report.text.ops)
    flops += op.flops;
  EXPECT_EQ(flops, report.text.flops);
}

TEST(Bench, RefusesWhatIsNotThere) {
  BenchOptions options = small_bench("tiny-klein");
  options.layers = 2;
  EXPECT_THROW(bench(options), Error) << "only a random model can be cut";
  options.random = "klein-5b";
  EXPECT_THROW(bench(options), Error);
  options = small_bench("tiny-klein");
  options.text_tokens = 0;
  EXPECT_THROW(bench(options), Error);
}

TEST(Bench, Stops) {
  BenchOptions options = small_bench("tiny-klein");
  std::stop_source source;
  options.stop = source.get_token();
  options.progress = [&](const Progress& progress) {
    if (progress.stage == Stage::denoise) source.request_stop();
  };
  try {
    bench(options);
    FAIL() << "it ran to its end";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::cancelled);
  }
}

TEST(RandomModel, HasThePublishedShapes) {
  struct Published {
    const char* name;
    double parameters;  // of the transformer
    std::size_t text_tensors;
  };
  // Parameters as counted from the published checkpoints; 11 tensors a layer of Qwen3 and the
  // embedding, the last norm and, where it is not tied, the output matrix.
  for (const auto& [name, parameters, text_tensors] :
       {Published{"klein-4b", 3.876e9, 36 * 11 + 2}, Published{"klein-9b", 9.079e9, 36 * 11 + 3},
        Published{"klein-9b-kv", 9.079e9, 36 * 11 + 3}, Published{"dev", 32.223e9, 0}}) {
    const ModelFolder model = random_model(name);
    double elements = 0;
    const Checkpoint transformer = model.weights_of("transformer");
    for (const auto& [tensor, stored] : transformer.tensors())
      elements += static_cast<double>(stored.shape.elements());
    EXPECT_NEAR(elements / parameters, 1.0, 2e-4) << name;
    if (text_tensors > 0) {
      EXPECT_EQ(model.weights_of("text_encoder").tensors().size(), text_tensors) << name;
    }
  }
}

TEST(RandomModel, CanBeCut) {
  const ModelFolder whole = random_model("klein-4b");
  EXPECT_EQ(text_layers_of(whole), (std::vector<int>{9, 18, 27}));
  const ModelFolder cut = random_model("klein-4b", 5);
  EXPECT_EQ(text_layers_of(cut), (std::vector<int>{3, 4, 5}));
  EXPECT_EQ(cut.transformer.double_blocks, 5);
  EXPECT_EQ(cut.transformer.single_blocks, 5);
  EXPECT_EQ(text_layers_of(random_model("dev", 1)), (std::vector<int>{1, 2, 3}));
}

}  // namespace
}  // namespace flux2
