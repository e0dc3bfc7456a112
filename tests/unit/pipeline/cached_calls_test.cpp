// Calls with a prompt cache: the text encoder stays out, the pictures stay the same.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>

#include "flux2/pipeline.h"
#include "program.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

const fs::path kCheckpoints = fs::path(FLUX2_SOURCE_DIR) / "tests/goldens/data/checkpoints";

Request request_for(std::vector<std::string> prompts) {
  Request request;
  request.prompt = std::move(prompts);
  request.width = request.height = 32;
  request.num_inference_steps = 1;
  request.seeds = {1};
  request.max_sequence_length = 32;
  return request;
}

bool ran(const Result& result, Stage stage) {
  return std::any_of(result.times.begin(), result.times.end(),
                     [&](const StageTime& time) { return time.stage == stage; });
}

class CachedCalls : public testing::Test {
 protected:
  PipelineOptions options() const {
    return {.compute = Compute::f32,
            .threads = 1,
            .prompt_cache = PromptCacheOptions{.folder = folder_.path() / "cache"}};
  }
  // A pipeline of its own, as a new process has it.
  Result generate(const Request& request) const {
    return Pipeline::load(model_.string(), options()).generate(request);
  }
  Result uncached(const Request& request) const {
    return Pipeline::load(model_.string(), {.compute = Compute::f32, .threads = 1})
        .generate(request);
  }
  // A model whose files may be changed.
  void use_a_copy() {
    model_ = folder_.path() / "copy";
    fs::copy(kCheckpoints / "tiny-klein", model_, fs::copy_options::recursive);
  }

  TemporaryFolder folder_;
  fs::path model_ = kCheckpoints / "tiny-klein";
};

TEST_F(CachedCalls, ARepeatedPromptNeverOpensTheTextEncoder) {
  const Request request = request_for({"a cat"});
  const Result first = generate(request);
  EXPECT_EQ(first.cached_prompts, 0);
  EXPECT_TRUE(ran(first, Stage::load_text));
  const Result again = generate(request);
  EXPECT_EQ(again.cached_prompts, 1);
  EXPECT_FALSE(ran(again, Stage::load_text) || ran(again, Stage::encode_text));
  const Result plain = uncached(request);
  for (const Result* result : {&first, &again}) {
    EXPECT_EQ(result->prompt_embeds.values, plain.prompt_embeds.values);
    EXPECT_EQ(result->images.at(0).pixels, plain.images.at(0).pixels);
    EXPECT_TRUE(result->warnings.empty());
  }
}

TEST_F(CachedCalls, OnlyNewTextsOfABatchAreEncoded) {
  generate(request_for({"a dog"}));
  const Request request = request_for({"a cat", "a dog", "a bird"});
  const Result result = generate(request);
  EXPECT_EQ(result.cached_prompts, 1);
  EXPECT_EQ(result.prompt_embeds.values, uncached(request).prompt_embeds.values);
  EXPECT_EQ(generate(request_for({"a bird", "a cat"})).cached_prompts, 2);
}

TEST_F(CachedCalls, TheNegativePromptIsATextLikeOthers) {
  model_ = kCheckpoints / "tiny-klein-base";
  Request request = request_for({"a cat"});
  request.guidance_scale = 3;
  generate(request);
  const Result again = generate(request);
  EXPECT_EQ(again.cached_prompts, 2);
  EXPECT_EQ(again.images.at(0).pixels, uncached(request).images.at(0).pixels);
}

TEST_F(CachedCalls, AnotherLengthOrOtherLayersAreOtherEmbeddings) {
  Request request = request_for({"a cat"});
  generate(request);
  request.max_sequence_length = 40;
  EXPECT_EQ(generate(request).cached_prompts, 0);
  request = request_for({"a cat"});
  request.text_encoder_out_layers = {0, 1, 2};
  EXPECT_EQ(generate(request).cached_prompts, 0);
}

TEST_F(CachedCalls, WeightsThatChangedBehindTheirTimeNeverHit) {
  use_a_copy();
  const Request request = request_for({"a cat"});
  generate(request);
  EXPECT_EQ(generate(request).cached_prompts, 1);
  const fs::path weights = model_ / "text_encoder/model.safetensors";
  struct stat before {};
  ASSERT_EQ(stat(weights.c_str(), &before), 0);
  std::fstream file(weights, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-1, std::ios::end);
  file.put('\x01');
  file.close();
  const timespec times[] = {before.st_atim, before.st_mtim};
  ASSERT_EQ(utimensat(AT_FDCWD, weights.c_str(), times, 0), 0);
  EXPECT_EQ(generate(request).cached_prompts, 0);
}

TEST_F(CachedCalls, ACopyOfTheWeightsIsAnotherCheckpoint) {
  const Request request = request_for({"a cat"});
  generate(request);
  use_a_copy();
  EXPECT_EQ(generate(request).cached_prompts, 0);
}

// The loaded text encoder goes on with the old weights: what it makes must not be kept for the new.
TEST_F(CachedCalls, AResidentPipelineKeepsUnderTheWeightsThatItLoaded) {
  use_a_copy();
  PipelineOptions resident = options();
  resident.residency = PipelineOptions::Residency::keep;
  const Pipeline pipeline = Pipeline::load(model_.string(), resident);
  pipeline.generate(request_for({"a cat"}));
  const fs::path weights = model_ / "text_encoder/model.safetensors";
  fs::copy_file(weights, model_ / "new");
  fs::rename(model_ / "new", weights);
  const Result old = pipeline.generate(request_for({"a dog"}));
  EXPECT_EQ(old.cached_prompts, 0);
  EXPECT_EQ(pipeline.generate(request_for({"a dog"})).cached_prompts, 1);
  EXPECT_EQ(generate(request_for({"a dog"})).cached_prompts, 0);
}

}  // namespace
}  // namespace flux2
