// Plans: what they choose under a limit, and that whatever they choose gives the same bytes.
#include "flux2/plan.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "flux2/flux2.h"
#include "pipeline/backend.h"
#include "pipeline/planner.h"
#include "pipeline/random_model.h"
#include "pipeline/stages.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;
using Residency = PipelineOptions::Residency;
using Afterwards = PartPlan::Afterwards;

std::string model_path(const std::string& name) {
  return std::string(FLUX2_SOURCE_DIR) + "/tests/goldens/data/checkpoints/" + name;
}

// Planning for a published model, of which nothing is made but names.
class PlannedModel {
 public:
  PlannedModel(const std::string& name, int layers, Compute compute)
      : model_(random_model(name, layers)),
        backend_(make_backend({.compute = compute, .threads = 1})) {
    work_.texts = 1;
    work_.encoder_tokens = 64;
    for (const int layer : text_layers_of(model_))
      work_.taps.push_back(layer);
    work_.pass_tokens = {64};
    work_.grid = {16, 16};
    work_.steps = 2;
  }

  Plan plan(std::int64_t limit, Residency residency = Residency::automatic,
            VaeTiling tiling = VaeTiling::automatic) const {
    const PipelineOptions options = {.residency = residency, .memory_limit = limit};
    return make_plan({.model = model_,
                      .work = work_,
                      .backend = backend_,
                      .options = options,
                      .tiling = tiling});
  }
  Workload& work() { return work_; }

 private:
  ModelFolder model_;
  Backend backend_;
  Workload work_;
};

TEST(Plan, GivesUpTheLeastThatFits) {
  const PlannedModel model("klein-4b", 3, Compute::f32);
  const Plan all = model.plan(0);
  EXPECT_TRUE(all.given_up.empty());
  ASSERT_EQ(all.parts.size(), 3u);
  ASSERT_EQ(all.stages.size(), 3u);
  for (const PartPlan& part : all.parts) {
    EXPECT_EQ(part.afterwards, Afterwards::kept);
    EXPECT_EQ(part.streamed_bytes, 0);
    EXPECT_GT(part.resident_bytes, 0);
  }

  const Plan released = model.plan(all.peak_bytes() - 1);
  EXPECT_EQ(released.part("text_encoder")->afterwards, Afterwards::released);
  EXPECT_EQ(released.part("transformer")->streamed_bytes, 0);
  EXPECT_LT(released.peak_bytes(), all.peak_bytes());

  const Plan streamed = model.plan(released.peak_bytes() - 1);
  const PartPlan& transformer = *streamed.part("transformer");
  EXPECT_GT(transformer.streamed_bytes, 0);
  EXPECT_LT(streamed.peak_bytes(), released.peak_bytes());
  EXPECT_EQ(streamed.limit_from, "memory_limit");
  EXPECT_NEAR(static_cast<double>(transformer.resident_bytes + transformer.streamed_bytes),
              static_cast<double>(all.part("transformer")->resident_bytes), 0.02 * 1e9);
}

TEST(Plan, LessMemoryIsNeverMorePeak) {
  const PlannedModel model("klein-4b", 1, Compute::bf16);
  std::int64_t peak = model.plan(0).peak_bytes();
  int plans = 0;
  try {
    for (;; ++plans) {
      const Plan plan = model.plan(peak - 1);
      ASSERT_LT(plan.peak_bytes(), peak);
      peak = plan.peak_bytes();
    }
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
    EXPECT_NE(error.hint().find("would do"), std::string::npos) << error.hint();
  }
  EXPECT_GT(plans, 3);
}

TEST(Plan, TilesWhereAWholePictureDoesNotFit) {
  PlannedModel model("klein-4b", 1, Compute::f32);
  model.work().grid = {128, 128};
  const Plan whole = model.plan(0, Residency::release, VaeTiling::off);
  const std::int64_t decoding = whole.stage(Stage::decode)->peak_bytes;
  ASSERT_EQ(whole.peak_bytes(), decoding);
  const Plan tiled = model.plan(decoding - 1, Residency::release);
  EXPECT_EQ(tiled.stage(Stage::decode)->tile, 1024);
  EXPECT_LT(tiled.stage(Stage::decode)->peak_bytes, decoding / 2);
  EXPECT_THROW(model.plan(decoding - 1, Residency::release, VaeTiling::off), Error);
}

TEST(Plan, KeepingIsRespected) {
  const PlannedModel model("klein-4b", 2, Compute::f32);
  const std::int64_t all = model.plan(0, Residency::keep).peak_bytes();
  const Plan plan = model.plan(all - 1, Residency::keep);
  for (const PartPlan& part : plan.parts)
    EXPECT_EQ(part.afterwards, Afterwards::kept);
  EXPECT_GT(plan.part("transformer")->streamed_bytes, 0);
}

// What a call of a small model makes, with as much streamed as `plan` says.
struct Drawn {
  std::vector<float> embeddings, latents;
  std::vector<std::uint8_t> pixels;
  friend bool operator==(const Drawn&, const Drawn&) = default;
};

std::vector<float> values(const Tensor& tensor) {
  return to_vector(tensor);
}

class Streamed : public testing::TestWithParam<Compute> {};

Drawn draw(const ModelFolder& folder, Compute compute, double share) {
  Backend backend = make_backend({.compute = compute, .threads = 2});
  Parts parts(folder, backend, Residency::release);
  Request request;
  request.prompt = {"a red circle", "blue"};
  request.negative_prompt = {"green"};
  request.width = 64;
  request.height = 48;
  request.num_inference_steps = 2;
  request.max_sequence_length = 24;
  request.seeds = {7};
  const Call call = resolve(request, folder);
  const RunOptions options;
  Monitor monitor(options);
  const StageContext ctx = {{folder, parts, *backend.ops, monitor}, call};
  Plan plan;
  for (const char* name : {"text_encoder", "transformer"}) {
    plan.parts.push_back({.name = name,
                          .weight_type = "f32",
                          .streamed_share = share,
                          .afterwards = Afterwards::released});
  }
  parts.follow(&plan);
  Drawn drawn;
  const TextEmbeddings text = encode_text(ctx, call.request.prompt);
  parts.end_text();
  drawn.embeddings = values(text.prompts);
  const Denoised denoised = denoise(ctx, {.text = text, .references = {}});
  drawn.latents = values(denoised.latents);
  drawn.pixels = decode(ctx, denoised.latents).images.at(0).pixels;
  parts.follow(nullptr);
  return drawn;
}

TEST_P(Streamed, TheSameBytesAsInMemory) {
  for (const auto& [name, share] :
       {std::pair{"tiny-klein-base", 0.5}, std::pair{"tiny-dev", 1.0}}) {
    const ModelFolder folder = ModelFolder::open(model_path(name));
    EXPECT_EQ(draw(folder, GetParam(), share), draw(folder, GetParam(), 0)) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Computes, Streamed,
                         testing::Values(Compute::f32, Compute::bf16, Compute::int8),
                         [](const auto& info) {
                           return info.param == Compute::int8   ? "Int8"
                                  : info.param == Compute::bf16 ? "Bf16"
                                                                : "F32";
                         });

TEST(Plan, OfAPipelineNamesEveryStage) {
  const Pipeline pipeline = Pipeline::load(model_path("tiny-klein"), {.compute = Compute::f32});
  Request request;
  request.prompt = {"a red circle"};
  request.width = request.height = 64;
  request.seeds = {1};
  Image picture;
  picture.width = picture.height = 64;
  picture.pixels.assign(std::size_t{3} * 64 * 64, 128);
  request.image = {picture};
  const Plan plan = pipeline.plan(request);
  std::vector<Stage> stages;
  for (const StagePlan& stage : plan.stages) {
    stages.push_back(stage.stage);
    EXPECT_GT(stage.peak_bytes, plan.program_bytes);
    EXPECT_GT(stage.flops, 0);
    EXPECT_GT(stage.seconds, 0);
  }
  EXPECT_EQ(stages, (std::vector<Stage>{Stage::encode_text, Stage::encode_images, Stage::denoise,
                                        Stage::decode}));
  ASSERT_TRUE(plan.rates.has_value());
  EXPECT_GT(plan.rates->matmul_flops, 0);
  EXPECT_GT(plan.limit_bytes, plan.peak_bytes());
}

TEST(Plan, ACallThatDoesNotFitIsRefusedBeforeItBegins) {
  const Pipeline pipeline =
      Pipeline::load(model_path("tiny-klein"), {.compute = Compute::f32, .memory_limit = 1 << 20});
  Request request;
  request.prompt = {"a red circle"};
  request.seeds = {1};
  bool began = false;
  RunOptions options;
  options.progress = [&](const Progress&) { began = true; };
  try {
    pipeline.generate(request, options);
    FAIL() << "it fitted into a megabyte";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
    EXPECT_EQ(error.where(), "memory_limit");
  }
  EXPECT_FALSE(began);
}

}  // namespace
}  // namespace flux2
