// The public call: threads, stopping, callbacks.
#include "flux2/pipeline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

namespace flux2 {
namespace {

std::string checkpoint(const std::string& name) {
  return std::string(FLUX2_SOURCE_DIR) + "/tests/goldens/data/checkpoints/" + name;
}

Request small_request(std::uint64_t seed) {
  Request request;
  request.prompt = {"a cat"};
  request.width = request.height = 64;
  request.num_inference_steps = 2;
  request.seeds = {seed};
  request.max_sequence_length = 32;
  return request;
}

Pipeline load(const std::string& name) {
  return Pipeline::load(checkpoint(name), {.compute = Compute::f32, .threads = 1});
}

TEST(Pipeline, CallsFromSeveralThreads) {
  const Pipeline pipeline = load("tiny-klein");
  const Result alone[] = {pipeline.generate(small_request(1)), pipeline.generate(small_request(2))};
  std::vector<std::thread> threads;
  std::vector<Result> together(6);
  for (std::size_t i = 0; i < together.size(); ++i) {
    threads.emplace_back([&, i] { together[i] = pipeline.generate(small_request(1 + i % 2)); });
  }
  for (std::thread& thread : threads)
    thread.join();
  for (std::size_t i = 0; i < together.size(); ++i) {
    EXPECT_EQ(together[i].latents.values, alone[i % 2].latents.values);
    EXPECT_EQ(together[i].images.at(0).pixels, alone[i % 2].images.at(0).pixels);
  }
}

TEST(Pipeline, TwoPipelinesAtOnce) {
  const Pipeline klein = load("tiny-klein");
  const Pipeline dev = load("tiny-dev");
  Result a, b;
  std::thread other([&] { a = klein.generate(small_request(1)); });
  b = dev.generate(small_request(1));
  other.join();
  EXPECT_EQ(a.latents.values, klein.generate(small_request(1)).latents.values);
  EXPECT_EQ(b.latents.values, dev.generate(small_request(1)).latents.values);
}

TEST(Pipeline, StopsWithinAStep) {
  const Pipeline pipeline = load("tiny-klein");
  std::stop_source source;
  RunOptions options;
  options.stop = source.get_token();
  bool denoising = false;
  options.progress = [&](const Progress& progress) {
    EXPECT_FALSE(denoising) << "a step was finished after the stop";
    if (progress.stage == Stage::denoise) {
      denoising = true;
      source.request_stop();
    }
  };
  try {
    pipeline.generate(small_request(1), options);
    FAIL() << "was not stopped";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::cancelled);
  }
  EXPECT_TRUE(denoising);
  EXPECT_EQ(pipeline.generate(small_request(1)).images.size(), 1u);  // still usable
}

TEST(Pipeline, ProgressIsMonotonous) {
  const Pipeline pipeline = load("tiny-klein-base");
  std::vector<Progress> seen;
  RunOptions options;
  options.progress = [&](const Progress& progress) { seen.push_back(progress); };
  const Result result = pipeline.generate(small_request(1), options);
  for (std::size_t i = 1; i < seen.size(); ++i) {
    if (seen[i].stage != seen[i - 1].stage) continue;
    EXPECT_GE(seen[i].done, seen[i - 1].done);
    EXPECT_GE(seen[i].seconds, seen[i - 1].seconds);
  }
  for (const Stage stage : {Stage::load_text, Stage::encode_text, Stage::load_transformer,
                            Stage::denoise, Stage::load_vae, Stage::decode}) {
    EXPECT_TRUE(std::any_of(seen.begin(), seen.end(), [&](const Progress& p) {
      return p.stage == stage;
    })) << to_string(stage);
  }
  EXPECT_EQ(result.step_seconds.size(), 2u);
  EXPECT_GT(result.peak_memory_bytes, 0);
}

TEST(Pipeline, CallbackMayChangeLatents) {
  const Pipeline pipeline = load("tiny-klein");
  const std::vector<float> untouched = pipeline.generate(small_request(1)).latents.values;
  int calls = 0;
  RunOptions options;
  options.output = Output::latents;
  options.callback_on_step_end = [&](StepState& state) {
    EXPECT_EQ(state.step, calls++);
    EXPECT_EQ(state.latents.shape, (std::vector<std::int64_t>{1, 16, 128}));
  };
  EXPECT_EQ(pipeline.generate(small_request(1), options).latents.values, untouched);
  EXPECT_EQ(calls, 2);

  options.callback_on_step_end = [](StepState& state) {
    std::fill(state.latents.values.begin(), state.latents.values.end(), 0.25f);
  };
  const Result changed = pipeline.generate(small_request(1), options);
  EXPECT_EQ(changed.latents.values, std::vector<float>(16 * 128, 0.25f));
  EXPECT_TRUE(changed.images.empty());

  options.callback_on_step_end = [](StepState& state) { state.latents.values.pop_back(); };
  EXPECT_THROW(pipeline.generate(small_request(1), options), Error);
  options.callback_on_step_end = [](StepState&) { throw std::runtime_error("mine"); };
  EXPECT_THROW(pipeline.generate(small_request(1), options), std::runtime_error);
}

TEST(Pipeline, CallbackMayChangeTheText) {
  const Pipeline pipeline = load("tiny-klein");
  RunOptions options;
  options.output = Output::latents;
  const std::vector<float> untouched = pipeline.generate(small_request(1), options).latents.values;
  options.callback_on_step_end = [](StepState& state) {
    for (float& value : state.prompt_embeds.values)
      value = -value;
  };
  EXPECT_NE(pipeline.generate(small_request(1), options).latents.values, untouched);
}

TEST(Pipeline, EmbeddingsInPlaceOfAPrompt) {
  const Pipeline pipeline = load("tiny-klein");
  const Result first = pipeline.generate(small_request(1));
  Request request = small_request(1);
  request.prompt.clear();
  request.prompt_embeds = first.prompt_embeds;
  EXPECT_EQ(pipeline.generate(request).latents.values, first.latents.values);
}

TEST(Pipeline, MissingModels) {
  try {
    Pipeline::load("/nowhere");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_file);
    EXPECT_EQ(error.where(), "/nowhere");
  }
  EXPECT_THROW(Pipeline::load(checkpoint("tiny-klein") + "/model_index.json"), Error);
  EXPECT_THROW(Pipeline::load(checkpoint("head128")), Error);
}

TEST(Pipeline, NoCudaInThisBuild) {
  try {
    Pipeline::load(checkpoint("tiny-klein"), {.device = Device::cuda});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_request);
  }
}

}  // namespace
}  // namespace flux2
